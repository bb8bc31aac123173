package collector

import (
	"fmt"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields in this file: Kamailio's src/modules/dialog/dialog.c. The
// cost of a profile's size follows from get_profile_size in dlg_profile.c.

var dlgStatsActiveFields = []field{
	{name: "starting", desc: gauge("kamailio_dlg_stats_active_starting",
		"Number of dialogs whose INVITE has no reply yet. Field starting of dlg.stats_active.")},
	{name: "connecting", desc: gauge("kamailio_dlg_stats_active_connecting",
		"Number of dialogs whose INVITE has a provisional reply. Field connecting of dlg.stats_active.")},
	{name: "answering", desc: gauge("kamailio_dlg_stats_active_answering",
		"Number of dialogs whose INVITE was accepted and not acknowledged yet. Field answering of dlg.stats_active.")},
	{name: "ongoing", desc: gauge("kamailio_dlg_stats_active_ongoing",
		"Number of established dialogs. Field ongoing of dlg.stats_active.")},
	{name: "all", desc: gauge("kamailio_dlg_stats_active_all",
		"Number of dialogs that are starting, connecting, answering or ongoing. Field all of dlg.stats_active.")},
}

var dlgStatsActive = &Collector{
	Method: "dlg.stats_active",
	Module: "dialog",
	Help: "number of dialogs in each state, 5 series. Kamailio iterates over all dialogs under their lock, so the " +
		"cost grows with the number of calls",
	Metrics: descsOf(dlgStatsActiveFields),
	collect: fields(dlgStatsActiveFields),
}

// DialogProfile is a profile of the Kamailio module dialog, or one of its values.
type DialogProfile struct {
	Name string
	// Value selects the dialogs to count, "" for all dialogs of the profile.
	Value string
}

// ParseDialogProfile parses "profile" or "profile:value".
func ParseDialogProfile(text string) (DialogProfile, error) {
	name, value, found := strings.Cut(text, ":")
	if name == "" || found && value == "" {
		return DialogProfile{}, fmt.Errorf("%q names no dialog profile, use profile or profile:value", text)
	}
	return DialogProfile{name, value}, nil
}

// String returns the profile in the format that ParseDialogProfile parses.
func (p DialogProfile) String() string {
	if p.Value == "" {
		return p.Name
	}
	return p.Name + ":" + p.Value
}

var dialogProfileSize = field{name: "size", unsigned: true, desc: gauge("kamailio_dialog_profile_dialogs",
	"Number of dialogs in the profile, or of those with the value. Reply of dlg.profile_get_size.", "profile", "value")}

var dlgProfileGetSize = &Collector{
	Method: "dlg.profile_get_size",
	Module: "dialog",
	Help: "number of dialogs in profiles, a series for each configured profile. " +
		"For profile:value Kamailio iterates over a part of the profile's dialogs under the profile's lock, for " +
		"profile it adds a few counters",
	Auto:    true,
	Setting: "dialog_profiles",
	Metrics: []*metric.Desc{dialogProfileSize.desc},
	calls: func(settings Settings) []rpc.Call {
		var calls []rpc.Call
		for _, p := range settings.DialogProfiles {
			call := rpc.Call{Method: "dlg.profile_get_size", Args: []any{p.Name}}
			if p.Value != "" {
				call.Args = append(call.Args, p.Value)
			}
			calls = append(calls, call)
		}
		return calls
	},
	collect: func(out *metric.Writer, _ Settings, replies []Reply) {
		for _, reply := range replies {
			if reply.Value.Kind() != rpc.KindArray {
				dialogProfileSize.add(out, reply.Value, reply.argument(0), reply.argument(1))
			}
		}
	},
}
