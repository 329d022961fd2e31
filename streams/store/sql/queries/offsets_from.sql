SELECT partition, offset FROM TABLE
WHERE topic = {topic:String} AND offset >= {least:UInt64} AND has({partitions:Array(UInt16)}, partition)
