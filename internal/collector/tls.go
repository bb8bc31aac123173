package collector

// Source of the fields: Kamailio's src/modules/tls/tls_rpc.c.
var tlsInfoFields = []field{
	{name: "max_connections", desc: gauge("kamailio_tls_info_max_connections",
		"Maximum number of TLS connections. Field max_connections of tls.info.")},
	{name: "opened_connections", desc: gauge("kamailio_tls_info_opened_connections",
		"Number of open TLS connections. Field opened_connections of tls.info.")},
	{name: "clear_text_write_queued_bytes", unsigned: true, desc: gauge("kamailio_tls_info_clear_text_write_queued_bytes",
		"Bytes queued to be encrypted and written to TLS connections. Field clear_text_write_queued_bytes of tls.info.")},
}

var tlsInfo = &Collector{
	Method:  "tls.info",
	Module:  "tls",
	Help:    "TLS connections, 3 series",
	Auto:    true,
	Metrics: descsOf(tlsInfoFields),
	collect: fields(tlsInfoFields),
}
