package collector

import (
	"errors"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func TestParseDialogProfile(t *testing.T) {
	tests := []struct {
		text string
		want DialogProfile
		ok   bool
	}{
		{"all", DialogProfile{Name: "all"}, true},
		{"trunk:carrier1", DialogProfile{"trunk", "carrier1"}, true},
		{"caller:sip:alice@example.org", DialogProfile{"caller", "sip:alice@example.org"}, true},
		{"", DialogProfile{}, false},
		{":carrier1", DialogProfile{}, false},
		{"trunk:", DialogProfile{}, false},
	}
	for _, test := range tests {
		got, err := ParseDialogProfile(test.text)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: %+v, %v, want %+v", test.text, got, err, test.want)
		}
		if test.ok && got.String() != test.text {
			t.Errorf("String of %q is %q", test.text, got)
		}
	}
}

// TestProfileCalls checks that the call for a profile without a value has one
// argument, since "" is a valid value.
func TestProfileCalls(t *testing.T) {
	if calls := dlgProfileGetSize.Calls(Settings{}); len(calls) != 0 {
		t.Errorf("calls without profiles: %v", calls)
	}
	calls := dlgProfileGetSize.Calls(Settings{DialogProfiles: []DialogProfile{{Name: "all"}, {"trunk", "100"}}})
	if len(calls) != 2 || len(calls[0].Args) != 1 || len(calls[1].Args) != 2 ||
		calls[0].String() != "dlg.profile_get_size all" || calls[1].String() != "dlg.profile_get_size trunk 100" {
		t.Errorf("calls %v", calls)
	}
}

// TestMissingProfileDoesNotAffectOthers checks that a missing profile, which is an
// error in the configuration, is reported, and that other profiles have samples.
func TestMissingProfileDoesNotAffectOthers(t *testing.T) {
	calls := dlgProfileGetSize.Calls(Settings{DialogProfiles: []DialogProfile{{Name: "nosuch"}, {"trunk", "100"}}})
	fault := &rpc.Fault{Code: 404, Reason: "Profile not found: nosuch"}
	set := metric.NewSet()
	err := dlgProfileGetSize.Collect(set, Settings{}, []Reply{
		{Call: calls[0], Reply: rpc.Reply{Err: fault}},
		{Call: calls[1], Reply: reply(t, int32(-1))},
	})
	if !errors.Is(err, fault) || !strings.Contains(err.Error(), "dlg.profile_get_size nosuch") {
		t.Errorf("error %v", err)
	}
	checkSamples(t, samples(t, set), `kamailio_dialog_profile_dialogs{profile="trunk",value="100"} 4.294967295e+09`)
}
