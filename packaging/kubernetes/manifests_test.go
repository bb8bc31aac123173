// Package kubernetes checks the manifests against the types of Kubernetes and of the Prometheus operator. It is a module
// of its own so that the exporter does not depend on these.
package kubernetes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// exporterName is the name of the exporter's container.
const exporterName = "kamailio-exporter"

// kinds are the types that the manifests may be of, by apiVersion and kind.
var kinds = map[meta.TypeMeta]func() any{
	{APIVersion: "apps/v1", Kind: "Deployment"}:                  func() any { return &apps.Deployment{} },
	{APIVersion: "monitoring.coreos.com/v1", Kind: "PodMonitor"}: func() any { return &monitoring.PodMonitor{} },
}

// decode reads a manifest as kubectl and the API server do. A field that its kind does not have, a value of another type and a field given twice are errors.
func decode(text []byte) (any, error) {
	if bytes.Contains(text, []byte("\n---")) {
		return nil, errors.New("it has several documents, of which only the first would be checked")
	}
	var kind meta.TypeMeta
	if err := yaml.Unmarshal(text, &kind); err != nil {
		return nil, err
	}
	object, known := kinds[kind]
	if !known {
		return nil, fmt.Errorf("unknown kind %v", kind)
	}
	encoded, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	decoded := object()
	strict, err := json.UnmarshalStrict(encoded, decoded)
	return decoded, errors.Join(append(strict, err)...)
}

func read(t *testing.T, name string) any {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	object, err := decode(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return object
}

func deployment(t *testing.T, name string) *apps.Deployment {
	t.Helper()
	d, ok := read(t, name).(*apps.Deployment)
	if !ok {
		t.Fatalf("%s is no Deployment", name)
	}
	return d
}

func exporter(t *testing.T, pod core.PodSpec) core.Container {
	t.Helper()
	i := slices.IndexFunc(pod.Containers, func(c core.Container) bool { return c.Name == exporterName })
	if i < 0 {
		t.Fatalf("there is no container %s", exporterName)
	}
	return pod.Containers[i]
}

func TestSchema(t *testing.T) {
	names, err := filepath.Glob("*.yaml")
	if err != nil || len(names) != 3 {
		t.Fatalf("manifests %q, %v", names, err)
	}
	for _, name := range names {
		read(t, name)
	}
}

func TestSchemaRefuses(t *testing.T) {
	text, err := os.ReadFile("standalone.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string][2]string{
		"an unknown field":      {"replicas: 1", "replica: 1"},
		"a field of elsewhere":  {"containerPort: 9494", "containerPort: 9494\n              path: /metrics"},
		"a string for a number": {"replicas: 1", "replicas: one"},
		"a number for a string": {`scrape: "true"`, "scrape: true"},
		"a field given twice":   {"replicas: 1", "replicas: 1\n  replicas: 2"},
		"no quantity":           {"memory: 192Mi", "memory: 192 MB"},
		"an unknown kind":       {"apps/v1", "apps/v9"},
		"a second document":     {"spec:\n  replicas", "---\nspec:\n  replicas"},
	} {
		changed := bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(changed, text) {
			t.Fatalf("%s: %q is not there", what, change[0])
		}
		if _, err := decode(changed); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}

func TestDeployments(t *testing.T) {
	version, err := os.ReadFile("../../VERSION")
	if err != nil {
		t.Fatal(err)
	}
	image := "ghcr.io/kamailio-exporter/kamailio_exporter:" + strings.TrimSpace(string(version))
	for _, name := range []string{"sidecar.yaml", "standalone.yaml"} {
		t.Run(name, func(t *testing.T) {
			d := deployment(t, name)
			checkSelector(t, d)
			checkMounts(t, d.Spec.Template.Spec)
			container := exporter(t, d.Spec.Template.Spec)
			if container.Image != image {
				t.Errorf("image %s, want %s", container.Image, image)
			}
			checkPort(t, d.Spec.Template.Annotations, container)
			checkMemory(t, container)
			checkRights(t, d.Spec.Template.Spec, container)
		})
	}
}

// checkSelector checks what the API server refuses: a deployment that does not select its own pods.
func checkSelector(t *testing.T, d *apps.Deployment) {
	t.Helper()
	selector, err := meta.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	if selector.Empty() || !selector.Matches(labels.Set(d.Spec.Template.Labels)) {
		t.Errorf("selector %v does not select the pods, which have %v", selector, d.Spec.Template.Labels)
	}
}

// checkMounts checks what the API server refuses too: a mount of a volume that is not there.
func checkMounts(t *testing.T, pod core.PodSpec) {
	t.Helper()
	for _, c := range pod.Containers {
		for _, mount := range c.VolumeMounts {
			if !slices.ContainsFunc(pod.Volumes, func(v core.Volume) bool { return v.Name == mount.Name }) {
				t.Errorf("%s mounts %s, which is no volume", c.Name, mount.Name)
			}
		}
	}
}

func checkPort(t *testing.T, annotations map[string]string, c core.Container) {
	t.Helper()
	if len(c.Ports) != 1 || c.Ports[0].Name != "metrics" || c.Ports[0].ContainerPort != 9494 {
		t.Errorf("ports %v, want metrics, 9494", c.Ports)
	}
	if annotations["prometheus.io/scrape"] != "true" || annotations["prometheus.io/port"] != "9494" {
		t.Errorf("annotations %v", annotations)
	}
	if c.LivenessProbe == nil || c.LivenessProbe.HTTPGet == nil {
		t.Fatal("there is no liveness probe")
	}
	if got := c.LivenessProbe.HTTPGet; got.Path != "/-/healthy" || got.Port != intstr.FromString("metrics") {
		t.Errorf("liveness probe %v", got)
	}
}

// checkMemory checks the limit of memory, and that Go's runtime aims to stay well below it.
func checkMemory(t *testing.T, container core.Container) {
	t.Helper()
	for what, got := range map[string]resource.Quantity{
		"32Mi":  *container.Resources.Requests.Memory(),
		"192Mi": *container.Resources.Limits.Memory(),
	} {
		if got.Cmp(resource.MustParse(what)) != 0 {
			t.Errorf("memory %v, want %s", &got, what)
		}
	}
	if want := (core.EnvVar{Name: "GOMEMLIMIT", Value: "112MiB"}); !slices.Contains(container.Env, want) {
		t.Errorf("the environment is %v, want %v in it", container.Env, want)
	}
}

// checkRights checks that the pod meets the restricted Pod Security Standard, and more.
func checkRights(t *testing.T, pod core.PodSpec, exporter core.Container) {
	t.Helper()
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("the pod gets a token of the API server")
	}
	if c := pod.SecurityContext; c == nil || c.RunAsNonRoot == nil || !*c.RunAsNonRoot || c.SeccompProfile == nil ||
		c.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("security context %+v", c)
	}
	for _, container := range pod.Containers {
		c := container.SecurityContext
		if c == nil || c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation ||
			c.Capabilities == nil || !slices.Equal(c.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("%s: security context %+v", container.Name, c)
		}
	}
	if c := exporter.SecurityContext; c == nil || c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem {
		t.Errorf("the exporter's security context %+v", c)
	}
}

// TestSidecarSharesTheSocket checks that both containers see the same directory, in a group that both are in.
func TestSidecarSharesTheSocket(t *testing.T) {
	pod := deployment(t, "sidecar.yaml").Spec.Template.Spec
	for _, c := range pod.Containers {
		if !slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool {
			return m.Name == "control" && m.MountPath == "/run/kamailio"
		}) {
			t.Errorf("%s does not have the directory of the control socket", c.Name)
		}
		if c.SecurityContext.RunAsGroup != nil {
			t.Errorf("%s has a group of its own", c.Name)
		}
	}
	security := pod.SecurityContext
	if security.FSGroup == nil || security.RunAsGroup == nil || *security.FSGroup != *security.RunAsGroup {
		t.Errorf("group %v, the volume's %v", security.RunAsGroup, security.FSGroup)
	}
	if want := []string{"--kamailio.scrape-uri=unix:/run/kamailio/kamailio_ctl"}; !slices.Equal(exporter(t, pod).Args, want) {
		t.Errorf("arguments %q", exporter(t, pod).Args)
	}
}

func TestPodMonitorSelectsThePods(t *testing.T) {
	monitor, ok := read(t, "podmonitor.yaml").(*monitoring.PodMonitor)
	if !ok {
		t.Fatal("it is no PodMonitor")
	}
	selector, err := meta.LabelSelectorAsSelector(&monitor.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	if len(monitor.Spec.PodMetricsEndpoints) != 1 {
		t.Fatalf("%d endpoints", len(monitor.Spec.PodMetricsEndpoints))
	}
	port := monitor.Spec.PodMetricsEndpoints[0].Port
	for _, name := range []string{"sidecar.yaml", "standalone.yaml"} {
		template := deployment(t, name).Spec.Template
		if !selector.Matches(labels.Set(template.Labels)) {
			t.Errorf("the monitor does not select the pods of %s", name)
		}
		if port == nil || exporter(t, template.Spec).Ports[0].Name != *port {
			t.Errorf("%s has no port that the monitor scrapes", name)
		}
	}
}
