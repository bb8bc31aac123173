package docs_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/rpcmethods"
)

// TestRPCMethods compares rpc-methods.md with the table; -update writes the page.
func TestRPCMethods(t *testing.T) {
	var page strings.Builder
	page.WriteString(`# RPC methods of Kamailio

This table says what Kamailio's RPC methods do to Kamailio. [Your own metrics](custom-metrics.md) may call those that read, and
` + "`kamrpc` calls those that change something or are unsafe only with `--yes`." + ` The table is made from the sources of Kamailio 5.6, 6.0 and
6.1, with the modules that Kamailio itself has. It also has the methods that are new on Kamailio's branch master in August 2026.

- **reads**: only reads, at a cost that does not grow with the traffic. It may grow with what the configuration has, for example
  processes, destinations or RTP proxies.
- **costly**: only reads, at a cost that grows with the traffic, with the number of users, or with the size of a table, or waits
  for a database.
- **changes**: changes the state of Kamailio, resets counters, writes files or sends messages.
- **unsafe**: can end, crash or block Kamailio, runs commands or scripts, writes to any file, or shows secrets in bulk.

If a method can have more than one effect, by its arguments or by the version of Kamailio, the table has the worst.

<!-- The table is generated: go test ./docs -run TestRPCMethods -update -->

| method | Kamailio module | effect | why |
|---|---|---|---|
`)
	for _, m := range rpcmethods.All() {
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", m.Name, m.Module, m.Effect, m.Note)
	}
	const name = "rpc-methods.md"
	if *update {
		if err := os.WriteFile(name, []byte(page.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != page.String() {
		t.Errorf("%s is not that of the table: run go test ./docs -run TestRPCMethods -update (%v)", name, err)
	}
}
