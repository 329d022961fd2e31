INSERT INTO migrations (name, hash) SELECT {name:String}, {hash:String}
