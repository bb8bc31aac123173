package collector

// Source of the fields: Kamailio's src/modules/dialog/dialog.c.
var dlgStatsActiveFields = []field{
	{name: "starting", desc: gauge("kamailio_dlg_stats_active_starting",
		"Dialogs whose INVITE has no reply yet. Field starting of dlg.stats_active.")},
	{name: "connecting", desc: gauge("kamailio_dlg_stats_active_connecting",
		"Dialogs whose INVITE has a provisional reply. Field connecting of dlg.stats_active.")},
	{name: "answering", desc: gauge("kamailio_dlg_stats_active_answering",
		"Dialogs whose INVITE was answered and not acknowledged yet. Field answering of dlg.stats_active.")},
	{name: "ongoing", desc: gauge("kamailio_dlg_stats_active_ongoing",
		"Dialogs that are established. Field ongoing of dlg.stats_active.")},
	{name: "all", desc: gauge("kamailio_dlg_stats_active_all",
		"Dialogs in all these states together. Field all of dlg.stats_active.")},
}

var dlgStatsActive = &Collector{
	Method: "dlg.stats_active",
	Module: "dialog",
	Help: "dialogs by state; 5 series. Kamailio walks all dialogs under their lock for it, " +
		"which costs calls the more of them there are",
	Metrics: descsOf(dlgStatsActiveFields),
	collect: fields(dlgStatsActiveFields),
}
