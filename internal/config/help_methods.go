package config

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kingpin/v2"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
)

// addHelpMethods adds the flag --help-methods, which prints the methods and ends the program with status 0.
func addHelpMethods(app *kingpin.Application) {
	app.Flag("help-methods", "List the RPC methods of --kamailio.methods.").PreAction(func(*kingpin.ParseContext) error {
		if err := printMethods(os.Stdout); err != nil {
			return fmt.Errorf("print the methods: %w", err)
		}
		os.Exit(0)
		return nil
	}).Bool()
}

// printMethods writes one line for each method: its name, whether auto calls it, and its help.
func printMethods(w io.Writer) error {
	var list strings.Builder
	list.WriteString("METHOD\tAUTO\tMETRICS\n")
	for _, c := range slices.SortedFunc(slices.Values(collector.All), func(a, b *collector.Collector) int {
		return strings.Compare(a.Method, b.Method)
	}) {
		auto := "no"
		switch {
		case c.Setting != "":
			auto = "with " + SettingName(c.Setting)
		case c.Auto:
			auto = "yes"
		}
		fmt.Fprintf(&list, "%s\t%s\t%s\n", c.Method, auto, c.Help)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(table, list.String()); err != nil {
		return err
	}
	return table.Flush()
}
