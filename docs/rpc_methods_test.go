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
6.1, with the modules that Kamailio itself has.

- **reads**: only reads, at a cost that does not grow with the traffic.
- **costly**: only reads, at a cost that grows with the traffic or with the size of a table.
- **changes**: changes the state of Kamailio, resets counters, writes files or sends messages.
- **unsafe**: can end, crash or block Kamailio, runs commands, or shows secrets in bulk.

<!-- The table is generated: go test ./docs -run TestRPCMethods -update -->

| method | Kamailio module | effect | why |
|---|---|---|---|
`)
	for _, m := range rpcmethods.All() {
		note := m.Note
		switch m.ReadingArgs {
		case "":
		case "none":
			note += " (reads)"
		default:
			note += fmt.Sprintf(" (`%s` reads)", m.ReadingArgs)
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", m.Name, m.Module, m.Effect, note)
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
