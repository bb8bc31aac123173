package collector

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

func registrationWith(members ...rpc.Member) rpc.Members {
	return append(rpc.Members{
		{Name: "l_uuid", Value: "u"}, {Name: "r_username", Value: "alice"}, {Name: "r_domain", Value: "example.org"},
		{Name: "auth_password", Value: "s3cret"}, {Name: "auth_ha1", Value: "0123456789abcdef0123456789abcdef"},
	}, members...)
}

// TestRegistrationStates has flags of real servers and other combinations of them:
// 1 disabled, 2 ongoing, 4 online, 8 authentication sent, 16 tried before. While a
// registration is not online, diff_expires is the time until the next attempt.
func TestRegistrationStates(t *testing.T) {
	tests := []struct {
		name         string
		flags        any
		left         any
		up, disabled string
		remaining    string
		short        string
		skips        int
	}{
		{name: "never tried", flags: 0, left: -1795348597, up: "0", disabled: "0", short: "unregistered"},
		{name: "disabled", flags: 1, left: -1795348597, up: "0", disabled: "1", short: "disabled"},
		{name: "first try", flags: 18, left: 0, up: "0", disabled: "0", short: "ongoing"},
		{name: "authentication sent", flags: 26, left: -1, up: "0", disabled: "0", short: "ongoing"},
		{name: "failed, next attempt soon", flags: 16, left: 26, up: "0", disabled: "0", short: "unregistered"},
		{name: "failed without retry", flags: 17, left: -40, up: "0", disabled: "1", short: "disabled"},
		{name: "registered", flags: 20, left: 593, up: "1", disabled: "0", remaining: "593", short: "registered"},
		{name: "registered with all flags", flags: -1, left: 593, up: "1", disabled: "1", remaining: "593", short: "registered"},
		{name: "expired", flags: 20, left: -3, up: "0", disabled: "0", remaining: "-3", short: "unregistered"},
		{name: "disabled while registered", flags: 21, left: 1, up: "1", disabled: "1", remaining: "1", short: "registered"},
		{name: "clock set back by years", flags: 20, left: 1795348597, up: "1", disabled: "0", short: "registered", skips: 2},
		{name: "time wrapped", flags: 20, left: -1795346233, up: "0", disabled: "0", short: "unregistered", skips: 2},
		{name: "time unknown", flags: 20, up: "1", disabled: "0", short: "registered"},
		{name: "bad flags", flags: rpc.Members{{Name: "auth_password", Value: "s3cret"}}, left: 593, skips: 2},
		{name: "no flags", left: 593},
	}
	const labels = `{l_uuid="u",r_domain="example.org",r_username="alice"} `
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var members []rpc.Member
			if test.flags != nil {
				members = append(members, rpc.Member{Name: "flags", Value: test.flags})
			}
			if test.left != nil {
				members = append(members, rpc.Member{Name: "diff_expires", Value: test.left})
			}
			noKey := rpc.Members{{Name: "realm", Value: "no key"}}
			r := reply(t, noKey, registrationWith(members...))
			got, skips := collect(t, uacRegDump, r)
			var want []string
			if test.up != "" {
				want = append(want, "kamailio_uac_registration_disabled"+labels+test.disabled)
			}
			want = append(want, `kamailio_uac_registration_info{l_domain="",l_username="",l_uuid="u",`+
				`r_domain="example.org",r_username="alice",realm="",socket=""} 1`)
			if test.remaining != "" {
				want = append(want, "kamailio_uac_registration_remaining_seconds"+labels+test.remaining)
			}
			if test.up != "" {
				want = append(want, "kamailio_uac_registration_up"+labels+test.up, fmt.Sprintf("kamailio_uac_registrations{state=%q} 1", test.short))
			}
			checkSamples(t, got, want...)
			skipped := 0
			for _, skip := range skips {
				skipped += skip.Count
			}
			if skipped != max(test.skips, 1) {
				t.Errorf("dropped %+v", skips)
			}
			checkRegistrationCounts(t, r, test.short, false)
			checkRegistrationCounts(t, reply(t, registrationWith(members...)), test.short, test.short != "")
		})
	}
}

func checkRegistrationCounts(t *testing.T, r rpc.Reply, state string, complete bool) {
	t.Helper()
	set := metric.NewSet()
	if err := uacRegDump.Collect(set, Settings{Short: []string{"uac.reg_dump"}}, []Reply{{Reply: r}}); err != nil && !errors.Is(err, errNothingRead) {
		t.Fatal(err)
	}
	var want []string
	for _, s := range []string{"disabled", "ongoing", "registered", "unregistered"} {
		if s != state && !complete {
			continue // unknown, because one registration could not be read
		}
		want = append(want, fmt.Sprintf("kamailio_uac_registrations{state=%q} %v", s, is(s == state)))
	}
	checkSamples(t, samples(t, set), want...)
}

// TestSecretsAreNotExported searches the exposition and the dropped fields for passwords.
func TestSecretsAreNotExported(t *testing.T) {
	replies := []rpc.Reply{reply(t, registrationWith(rpc.Member{Name: "flags", Value: registrationWith()})), reply(t, registrationWith(rpc.Member{Name: "flags", Value: nil}),
		registrationWith(rpc.Member{Name: "flags", Value: 4}, rpc.Member{Name: "diff_expires", Value: "soon"}),
		registrationWith(rpc.Member{Name: "flags", Value: 4}, rpc.Member{Name: "diff_expires", Value: "soon"}))}
	for version, when := range captured {
		files, err := filepath.Glob(filepath.Join("testdata", version, "uac.reg_dump*.binrpc"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no captures of %s: %v", version, err)
		}
		for _, file := range files {
			replies = append(replies, readReply(t, file, when))
		}
	}
	for _, r := range replies {
		if !strings.Contains(r.Value.String(), "0123456789abcdef0123456789abcdef") {
			t.Fatal("the reply contains no secret")
		}
		for _, short := range [][]string{nil, {"uac.reg_dump"}} {
			set := metric.NewSet()
			if err := uacRegDump.Collect(set, Settings{Short: short}, []Reply{{Reply: r}}); err != nil && !errors.Is(err, errNothingRead) {
				t.Fatal(err)
			}
			all := string(exposition(t, set)) + fmt.Sprintf("%+v", set.Skips())
			for _, secret := range []string{"0123456789abcdef", "secret", "s3cret", "auth_"} {
				if strings.Contains(all, secret) {
					t.Errorf("%s is in\n%s", secret, all)
				}
			}
		}
	}
}
