package kubernetes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// dashboardMap is the manifest of a dashboard before its file.
const dashboardMap = `apiVersion: v1
kind: ConfigMap
metadata:
  name: UID
  labels:
    app.kubernetes.io/name: kamailio-exporter
    grafana_dashboard: "1"
data:
  UID.json: |
`

// TestDashboards compares the manifest with the dashboards of ../../mixin.
func TestDashboards(t *testing.T) {
	const name = "dashboards.yaml"
	files, err := filepath.Glob("../../mixin/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("dashboards %q, %v", files, err)
	}
	text := "# For Grafana's sidecar, which loads the ConfigMaps with this label. Generated from ../../mixin/dashboards:\n# go test -run TestDashboards -update\n"
	for i, file := range files {
		if i > 0 {
			text += "---\n"
		}
		text += strings.ReplaceAll(dashboardMap, "UID", strings.TrimSuffix(filepath.Base(file), ".json"))
		for line := range strings.Lines(string(readFile(t, file))) {
			text += "    " + line
		}
	}
	if *update {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if string(readFile(t, name)) != text {
		t.Errorf("%s is stale: run go test -run TestDashboards -update", name)
	}
	for i, document := range strings.Split(text, "\n---\n") {
		got, err := decode[core.ConfigMap]([]byte(document), meta.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"})
		if err != nil {
			t.Fatal(err)
		}
		content := strings.TrimSuffix(got.Data[filepath.Base(files[i])], "\n")
		if want := strings.TrimSuffix(string(readFile(t, files[i])), "\n"); content != want || !json.Valid([]byte(content)) {
			t.Errorf("%s is not in its ConfigMap", files[i])
		}
	}
}
