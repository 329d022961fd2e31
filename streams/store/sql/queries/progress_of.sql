SELECT max(next) AS next FROM sink_progress WHERE topic = {topic:String} AND partition = {partition:UInt16}
