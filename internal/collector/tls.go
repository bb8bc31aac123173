package collector

// Source of the fields: Kamailio's src/modules/tls/tls_rpc.c.
var tlsInfoFields = []field{
	{name: "max_connections", desc: gauge("kamailio_tls_info_max_connections",
		"Most TLS connections that Kamailio opens. Field max_connections of tls.info.")},
	{name: "opened_connections", desc: gauge("kamailio_tls_info_opened_connections",
		"TLS connections that are open. Field opened_connections of tls.info.")},
	{name: "clear_text_write_queued_bytes", unsigned: true, desc: gauge("kamailio_tls_info_clear_text_write_queued_bytes",
		"Bytes of clear text queued to be encrypted and written. Field clear_text_write_queued_bytes of tls.info.")},
}

var tlsInfo = &Collector{
	Method:  "tls.info",
	Module:  "tls",
	Help:    "TLS connections, 3 series",
	Auto:    true,
	Metrics: descsOf(tlsInfoFields),
	collect: fields(tlsInfoFields),
}
