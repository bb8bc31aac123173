//go:build linux

package collector

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// liveTables are tables of a Kamailio, which loads them again when told so.
type liveTables struct {
	k      *lab.Kamailio
	routes string // the file of carrierroute
	saves  int
}

// startLiveTables starts a Kamailio with empty tables.
func startLiveTables(t *testing.T, suite string, options lab.Options) *liveTables {
	t.Helper()
	l := &liveTables{routes: filepath.Join(t.TempDir(), "carrierroute.conf")}
	l.saveRoutes(t, 0)
	options.Suite = suite
	options.Config += fmt.Sprintf(`
modparam("db_text", "db_mode", 1) # look at the files again
modparam("permissions", "db_mode", 1)
modparam("permissions", "reload_delta", 0)
loadmodule "lcr.so"
modparam("lcr", "db_url", "text://LAB_DIR/dbtext")
modparam("lcr", "gw_uri_avp", "$avp(i:709)")
modparam("lcr", "ruri_user_avp", "$avp(i:500)")
modparam("lcr", "lcr_count", 3)
loadmodule "pdt.so"
modparam("pdt", "db_url", "text://LAB_DIR/dbtext")
loadmodule "carrierroute.so"
modparam("carrierroute", "config_source", "file")
modparam("carrierroute", "config_file", %q)
`, l.routes)
	l.k = lab.StartTest(t, options)
	return l
}

// save replaces the rows of a table. Kamailio reads it only if it is at least a second newer than before.
func (l *liveTables) save(t *testing.T, name, rows string) {
	t.Helper()
	l.saves++
	file := filepath.Join(l.k.Dir, "dbtext", name)
	table, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	columns, _, _ := strings.Cut(string(table), "\n")
	if err := os.WriteFile(file, []byte(columns+"\n"+rows), 0o600); err != nil {
		t.Fatal(err)
	}
	saved := time.Now().Add(time.Duration(l.saves) * 2 * time.Second)
	if err := os.Chtimes(file, saved, saved); err != nil {
		t.Fatal(err)
	}
}

// saveAll saves all tables with n rows.
func (l *liveTables) saveAll(t *testing.T, n int) {
	t.Helper()
	l.save(t, "trusted", numbered(n, "%[1]d:192.0.2.%[1]d:any:::peer:0"))
	l.save(t, "address", numbered(n, "%[1]d:1:host%[1]d.example.com:32:0:")+numbered(n, "1%06[1]d:2:192.0.2.7:32:%[1]d:")+numbered(n, "2%06[1]d:3:198.51.100.0:24:%[1]d:"))
	l.saveRules(t, n)
	l.savePrefixes(t, n)
	l.saveRoutes(t, n)
}

// reload lets Kamailio load all tables again.
func (l *liveTables) reload(t *testing.T) {
	t.Helper()
	for _, method := range []string{"permissions.trustedReload", "permissions.addressReload", "lcr.reload", "pdt.reload", "cr.reload_routes"} {
		if out, err := l.k.Kamcmd(t.Context(), method); err != nil || strings.Contains(out, "error") {
			t.Fatalf("%s: %v %s", method, err, out)
		}
	}
}

// check compares the samples of a collector over BINRPC and over JSON-RPC.
func (l *liveTables) check(t *testing.T, c *Collector, want ...string) {
	t.Helper()
	uris := []string{l.k.URI("unix"), l.k.JSONRPCURL(), "jsonrpc+unixgram:" + filepath.Join(l.k.Dir, "kamailio_rpc.sock")}
	if c.BINRPCOnly {
		uris = uris[:1]
	}
	for _, uri := range uris {
		l.checkOver(t, uri, c, want)
	}
}

func (l *liveTables) checkOver(t *testing.T, uri string, c *Collector, want []string) {
	t.Helper()
	slices.Sort(want)
	got, skips, err := live(t, uri, c, Settings{})
	if slices.Sort(got); err != nil || !slices.Equal(got, want) || len(skips) > 0 {
		t.Errorf("%s over %s: dropped %v, error %v, samples\n%s\nwant\n%s", c.Method, uri, skips, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// checkTooMany checks that a table which does not fit in ctl's buffers makes the collector fail over BINRPC, without samples.
// It is complete over JSON-RPC.
func (l *liveTables) checkTooMany(t *testing.T, c *Collector, want ...string) {
	t.Helper()
	got, _, err := live(t, l.k.URI("unix"), c, Settings{})
	if _, isFault := errors.AsType[*rpc.Fault](err); !isFault || len(got) > 0 {
		t.Errorf("%s: error %v, samples %q", c.Method, err, got)
	}
	l.checkOver(t, l.k.JSONRPCURL(), c, want)
}

// numbered returns n lines. The format gets the number of the line, from 1.
func numbered(n int, format string) string {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, format+"\n", i+1)
	}
	return lines.String()
}

// TestLiveTables has tables that are empty, get one row, get many rows, and become empty again, which an operator does by
// mistake.
func TestLiveTables(t *testing.T) {
	const config = `modparam("ctl", "binrpc_struct_max_body_size", 1) # instead of 8 KiB, so that small tables do not fit`
	lab.EachSuite(t, func(t *testing.T, suite string) {
		l := startLiveTables(t, suite, lab.Options{Config: config})
		most := 0
		for _, n := range []int{0, 1, 30, 0} {
			l.saveAll(t, n)
			l.reload(t)
			l.check(t, lcrDumpRules, ruleRows(n)...)
			most = max(n, most)
			l.check(t, pdtList, prefixRows(most)...) // Kamailio keeps its prefixes if the table is empty
			l.check(t, crDumpRoutes, routeRows(n)...)
			l.check(t, permissionsTrustedDump, fmt.Sprint("kamailio_permissions_trusted_table_rows ", n))
			l.check(t, permissionsDomainDump, groupRows("domain", "domains", 1, n)...)
			l.check(t, permissionsAddressDump, groupRows("address", "addresses", 2, n)...)
			l.check(t, permissionsSubnetDump, groupRows("subnet", "subnets", 3, n)...)
		}
		const tooMany = 600 // ctl drops rules above 512
		l.saveAll(t, tooMany)
		l.reload(t)
		l.checkTooMany(t, pdtList, prefixRows(tooMany)...)
		l.checkTooMany(t, crDumpRoutes, routeRows(tooMany)...)
		if got, _, err := live(t, l.k.URI("unix"), lcrDumpRules, Settings{}); !errors.Is(err, ErrCutShort) || len(got) > 0 {
			t.Errorf("%d rules of each LCR instance: error %v, samples %q", tooMany, err, got)
		}
		l.checkTooMany(t, permissionsTrustedDump, fmt.Sprint("kamailio_permissions_trusted_table_rows ", tooMany))
		l.checkTooMany(t, permissionsDomainDump, groupRows("domain", "domains", 1, tooMany)...)
	})
}

// TestLivePresentities publishes states of two users to a Kamailio that keeps them in memory, and to one that does not.
func TestLivePresentities(t *testing.T) {
	const config = `
modparam("presence", "publ_cache", %d)
loadmodule "presence_dialoginfo.so"
`
	const route = `
  if (is_method("PUBLISH")) { handle_publish(); exit; }`
	const body = `<?xml version="1.0"?><dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="1" state="full" entity="sip:a@b"/>`
	lab.EachSuite(t, func(t *testing.T, suite string) {
		for cache, want := range map[int][]string{1: nil, 2: {`kamailio_presence_presentities{event="dialog"} 2`}} {
			l := &liveTables{k: lab.StartTest(t, lab.Options{Suite: suite, Config: fmt.Sprintf(config, cache), Route: route})}
			l.check(t, presencePresentityList)
			for _, user := range []string{"alice", "bob"} {
				const fields = "Event: dialog\r\nExpires: 3600\r\nContent-Type: application/dialog-info+xml\r\n"
				if status := request(t, l.k.SIPAddr(), "PUBLISH", user, fields, body); !strings.HasPrefix(status, "SIP/2.0 200 ") {
					t.Fatal(status)
				}
			}
			l.check(t, presencePresentityList, want...)
		}
	})
}

// groupRows returns the samples of a table of permissions with n rows in one group.
func groupRows(table, rows string, group, n int) []string {
	want := []string{fmt.Sprintf("kamailio_permissions_%s_table_rows %d", table, n)}
	if n > 0 {
		want = append(want, fmt.Sprintf("kamailio_permissions_%s{group=\"%d\"} %d", rows, group, n))
	}
	return want
}

// saveRules saves the tables of lcr with n rules for each of two LCR instances, of which the second has no gateway.
func (l *liveTables) saveRules(t *testing.T, n int) {
	t.Helper()
	l.save(t, "lcr_gw", numbered(min(n, 1), "%d:1:gateway:192.0.2.1:::::::::0:"))
	l.save(t, "lcr_rule", numbered(n, "%[1]d:1:1%04[1]d::::0:1")+numbered(n, "1%06[1]d:2:%[1]d::::0:1")+numbered(n, "2%06[1]d:2:%[1]d::::0:0"))
	l.save(t, "lcr_rule_target", numbered(n, "%[1]d:1:%[1]d:1:1:1"))
}

// ruleRows returns the samples of the tables that saveRules saves.
func ruleRows(n int) []string {
	want := []string{fmt.Sprint("kamailio_lcr_rule_table_rows ", 2*n)}
	if n > 0 {
		want = append(want, fmt.Sprintf(`kamailio_lcr_rules{lcr_id="1"} %d`, n), fmt.Sprintf(`kamailio_lcr_rules{lcr_id="2"} %d`, n),
			fmt.Sprintf(`kamailio_lcr_rule_targets{lcr_id="1"} %d`, n), `kamailio_lcr_rule_targets{lcr_id="2"} 0`)
	}
	return want
}

// savePrefixes saves the table of pdt with n prefixes for each of two source domains.
func (l *liveTables) savePrefixes(t *testing.T, n int) {
	t.Helper()
	l.save(t, "pdt", numbered(n, "%[1]d:*:1%04[1]d:host%[1]d.example.com")+numbered(n, "1%06[1]d:example.com:2%04[1]d:host%[1]d.example.com"))
}

// prefixRows returns the samples of the table that savePrefixes saves.
func prefixRows(n int) []string {
	want := []string{fmt.Sprint("kamailio_pdt_table_rows ", 2*n)}
	if n > 0 {
		want = append(want, fmt.Sprintf(`kamailio_pdt_prefixes{sdomain="*"} %d`, n), fmt.Sprintf(`kamailio_pdt_prefixes{sdomain="example.com"} %d`, n))
	}
	return want
}

// saveRoutes saves the file of carrierroute with n routes in one domain, and another domain without routes.
func (l *liveTables) saveRoutes(t *testing.T, n int) {
	t.Helper()
	routes := numbered(n, "prefix 1%04[1]d {\n max_targets = 1\n target host%[1]d.example.com {\n prob = 1.0\n hash_index = 1\n status = 1\n }\n}")
	text := "domain proxy {\n" + routes + "}\ndomain other {\n}\n"
	if err := os.WriteFile(l.routes, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// routeRows returns the samples of the file that saveRoutes saves.
func routeRows(n int) []string {
	return []string{
		fmt.Sprint("kamailio_carrierroute_table_rows ", n),
		fmt.Sprintf(`kamailio_carrierroute_routes{carrier="default",domain="proxy"} %d`, n),
		`kamailio_carrierroute_routes{carrier="default",domain="other"} 0`,
	}
}
