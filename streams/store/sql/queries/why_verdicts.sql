SELECT id, event_id, firing_id FROM verdicts WHERE id IN {ids:Array(UUID)}
