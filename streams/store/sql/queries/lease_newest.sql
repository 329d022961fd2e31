SELECT epoch, holder FROM sink_leases WHERE ordinal = {ordinal:UInt16} ORDER BY epoch DESC, holder DESC LIMIT 1
