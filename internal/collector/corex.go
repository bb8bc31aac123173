package collector

// Source of the field: corex_rpc_debug in Kamailio's src/modules/corex/corex_rpc.c;
// source of the levels: src/core/dprint.h. The method also sets the level, if it has
// an argument.
var corexDebugFields = []field{
	{name: "debug", desc: gauge("kamailio_core_debug_level",
		"Log level of Kamailio: 3 for debug messages, 2 for info, 1 for notice, 0 for warnings, -1 and lower for errors. Levels of single "+
			"Kamailio modules are not included. Field debug of corex.debug.")},
}

var corexDebug = &Collector{
	Method:  "corex.debug",
	Module:  "corex",
	Help:    "log level of Kamailio, 1 series",
	Auto:    true,
	Metrics: descsOf(corexDebugFields),
	collect: fields(corexDebugFields),
}
