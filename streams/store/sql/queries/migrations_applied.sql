SELECT name, hash FROM migrations ORDER BY name, applied
