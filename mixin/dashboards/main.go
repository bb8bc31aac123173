// The program writes the Grafana dashboards, as JSON files, into the current directory. Change a dashboard here, not in Grafana or in
// its file: run make dashboards afterwards.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

// dashboards are all dashboards. The file of each has the name of its uid.
func dashboards() []*builder {
	return []*builder{fleet(), instance(), gateways(), memory(), traffic(), exporter()}
}

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "write the dashboards:", err)
		os.Exit(1)
	}
}

func write() error {
	for _, d := range dashboards() {
		name, content, err := file(d)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil { //nolint:gosec // a file for everybody
			return err
		}
	}
	return nil
}

// file returns the name and the content of the file of a dashboard.
func file(b *builder) (name string, content []byte, err error) {
	d, err := b.Build()
	if err != nil {
		return "", nil, err
	}
	number(&d)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(d); err != nil {
		return "", nil, err
	}
	return *d.Uid + ".json", out.Bytes(), nil
}

// number gives each panel a number, which the links to a panel have.
func number(d *model) {
	for i := range d.Panels {
		id := uint32(i + 1)
		if p := d.Panels[i].Panel; p != nil {
			p.Id = &id
		} else {
			d.Panels[i].RowPanel.Id = id
		}
	}
}
