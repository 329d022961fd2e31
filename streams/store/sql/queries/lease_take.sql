INSERT INTO sink_leases (ordinal, epoch, holder)
SELECT {ordinal:UInt16}, max(epoch) + 1, {holder:String} FROM sink_leases WHERE ordinal = {ordinal:UInt16}
