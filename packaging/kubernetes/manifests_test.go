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
	monitoringalpha "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

var deployments = []string{"central.yaml", "sidecar.yaml", "standalone.yaml"}

var deploymentKind = meta.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}

// decode decodes an object of a manifest as kubectl and the API server do. A field that its kind does not have, a value of another type and
// a field given twice are errors.
func decode[T any](text []byte, kind meta.TypeMeta) (*T, error) {
	if bytes.Contains(text, []byte("\n---")) {
		return nil, errors.New("it has several documents, of which only the first would be checked")
	}
	encoded, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	var got meta.TypeMeta
	if err := yaml.Unmarshal(text, &got); err != nil || got != kind {
		return nil, fmt.Errorf("it is %v, want %v: %w", got, kind, err)
	}
	object := new(T)
	strict, err := json.UnmarshalStrict(encoded, object)
	return object, errors.Join(append(strict, err)...)
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// objects returns the objects of a manifest, by kind.
func objects(t *testing.T, name string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for text := range bytes.SplitSeq(readFile(t, name), []byte("\n---\n")) {
		var kind meta.TypeMeta
		if err := yaml.Unmarshal(text, &kind); err != nil || all[kind.Kind] != nil {
			t.Fatalf("%s: a second %s, or %v", name, kind.Kind, err)
		}
		all[kind.Kind] = text
	}
	return all
}

// object returns the object of a kind in a manifest.
func object[T any](t *testing.T, name, apiVersion, kind string) *T {
	t.Helper()
	found, err := decode[T](objects(t, name)[kind], meta.TypeMeta{APIVersion: apiVersion, Kind: kind})
	if err != nil {
		t.Fatalf("%s: %s: %v", name, kind, err)
	}
	return found
}

// deployment returns the deployment of a manifest and the exporter's container in it.
func deployment(t *testing.T, name string) (*apps.Deployment, core.Container) {
	t.Helper()
	d := object[apps.Deployment](t, name, deploymentKind.APIVersion, deploymentKind.Kind)
	containers := d.Spec.Template.Spec.Containers
	i := slices.IndexFunc(containers, func(c core.Container) bool { return c.Name == "kamailio-exporter" })
	if i < 0 {
		t.Fatalf("%s has no container kamailio-exporter", name)
	}
	return d, containers[i]
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

func TestDecodeErrors(t *testing.T) {
	text := readFile(t, "standalone.yaml")
	for what, change := range map[string][2]string{
		"an unknown field":           {"replicas: 1", "replica: 1"},
		"a field of another kind":    {"containerPort: 9494", "containerPort: 9494\n              path: /metrics"},
		"a string for a number":      {"replicas: 1", "replicas: one"},
		"a number for a string":      {`scrape: "true"`, "scrape: true"},
		"a field given twice":        {"replicas: 1", "replicas: 1\n  replicas: 2"},
		"a quantity without a unit":  {"memory: 192Mi", "memory: 192 MB"},
		"an unknown kind":            {"apps/v1", "apps/v9"},
		"a second document":          {"spec:\n  replicas", "---\nspec:\n  replicas"},
		"letters in the wrong cases": {"replicas: 1", "Replicas: 1"},
	} {
		changed := bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(changed, text) {
			t.Fatalf("%s: %q is not in the manifest", what, change[0])
		}
		if _, err := decode[apps.Deployment](changed, deploymentKind); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}

// memory has the memory of the exporter's container, by manifest. The limit of Go is well below that of the container.
var memory = map[string]struct{ request, limit, goLimit string }{
	"one target":   {"32Mi", "192Mi", "112MiB"},
	"central.yaml": {"64Mi", "512Mi", "384MiB"},
}

func TestDeployments(t *testing.T) {
	if names, err := filepath.Glob("*.yaml"); err != nil || !slices.Equal(names, []string{"central.yaml", "dashboards.yaml", "podmonitor.yaml", "prometheusrule.yaml", "scrapeconfig.yaml", "sidecar-host.yaml", "sidecar.yaml", "standalone.yaml"}) {
		t.Errorf("manifests %q, %v: add a test for each", names, err)
	}
	for _, name := range deployments {
		t.Run(name, func(t *testing.T) {
			d, c := deployment(t, name)
			checkReferences(t, d)
			wantEqual(t, "image", c.Image, "ghcr.io/kamailio-exporter/kamailio_exporter:"+strings.TrimSpace(string(readFile(t, "../../VERSION"))))
			wantEqual(t, "annotations", d.Spec.Template.Annotations, map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9494"})
			wantEqual(t, "ports", c.Ports, []core.ContainerPort{{Name: "metrics", ContainerPort: 9494}})
			wantEqual(t, "liveness probe", c.LivenessProbe, &core.Probe{ProbeHandler: core.ProbeHandler{
				HTTPGet: &core.HTTPGetAction{Path: "/-/healthy", Port: intstr.FromString("metrics")},
			}})
			want, ok := memory[name]
			if !ok {
				want = memory["one target"]
			}
			wantEqual(t, "memory", *c.Resources.Requests.Memory(), resource.MustParse(want.request))
			wantEqual(t, "memory limit", *c.Resources.Limits.Memory(), resource.MustParse(want.limit))
			wantEqual(t, "environment", c.Env, []core.EnvVar{{Name: "GOMEMLIMIT", Value: want.goLimit}})
			checkRights(t, d.Spec.Template.Spec, c)
		})
	}
}

// checkReferences checks for errors that the API server reports: a deployment that does not select its own pods, and a mount of a
// volume that does not exist.
func checkReferences(t *testing.T, d *apps.Deployment) {
	t.Helper()
	selector, err := meta.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	pod := d.Spec.Template
	if selector.Empty() || !selector.Matches(labels.Set(pod.Labels)) {
		t.Errorf("selector %v does not select the pods, which have %v", selector, pod.Labels)
	}
	for _, c := range pod.Spec.Containers {
		for _, mount := range c.VolumeMounts {
			if !slices.ContainsFunc(pod.Spec.Volumes, func(v core.Volume) bool { return v.Name == mount.Name }) {
				t.Errorf("%s mounts %s, which is not a volume", c.Name, mount.Name)
			}
		}
	}
}

// checkRights checks that the pod meets the restricted Pod Security Standard, and has no token and no writable root directory.
func checkRights(t *testing.T, pod core.PodSpec, exporter core.Container) {
	t.Helper()
	wantEqual(t, "token of the API server", pod.AutomountServiceAccountToken, new(false))
	wantEqual(t, "user of the pod", pod.SecurityContext.RunAsNonRoot, new(true))
	wantEqual(t, "system calls", pod.SecurityContext.SeccompProfile, &core.SeccompProfile{Type: core.SeccompProfileTypeRuntimeDefault})
	for _, container := range pod.Containers {
		wantEqual(t, "privileges of "+container.Name, container.SecurityContext.AllowPrivilegeEscalation, new(false))
		wantEqual(t, "capabilities of "+container.Name, container.SecurityContext.Capabilities, &core.Capabilities{Drop: []core.Capability{"ALL"}})
	}
	wantEqual(t, "root directory", exporter.SecurityContext.ReadOnlyRootFilesystem, new(true))
}

// TestSidecarSharesSocket checks that both containers have the same directory, and that both are in its group.
func TestSidecarSharesSocket(t *testing.T) {
	d, c := deployment(t, "sidecar.yaml")
	pod := d.Spec.Template.Spec
	for _, container := range pod.Containers {
		if !slices.ContainsFunc(container.VolumeMounts, func(m core.VolumeMount) bool {
			return m.Name == "control" && m.MountPath == "/run/kamailio"
		}) {
			t.Errorf("%s does not have the directory of the control socket", container.Name)
		}
		wantEqual(t, "group of "+container.Name, container.SecurityContext.RunAsGroup, (*int64)(nil))
	}
	if pod.SecurityContext.FSGroup == nil {
		t.Error("the directory has no group")
	}
	wantEqual(t, "group of the pod", pod.SecurityContext.RunAsGroup, pod.SecurityContext.FSGroup)
	wantEqual(t, "arguments", c.Args, []string{"--kamailio.scrape-uri=unix:/run/kamailio/kamailio_ctl"})
}

// TestSidecarHostPatch applies the patch to the sidecar: it has no lists, so that a merge of fields equals kubectl's. It must change
// one field of the pod.
func TestSidecarHostPatch(t *testing.T) {
	patch := objects(t, "sidecar-host.yaml")[deploymentKind.Kind]
	if _, err := decode[apps.Deployment](patch, deploymentKind); err != nil {
		t.Fatal(err)
	}
	want, _ := deployment(t, "sidecar.yaml")
	want.Spec.Template.Spec.ShareProcessNamespace = new(true)
	got, _ := deployment(t, "sidecar.yaml")
	if err := yaml.Unmarshal(patch, got); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "the patched deployment", got, want)
}

func TestPodMonitorSelectsPods(t *testing.T) {
	monitor := object[monitoring.PodMonitor](t, "podmonitor.yaml", "monitoring.coreos.com/v1", "PodMonitor")
	selector, err := meta.LabelSelectorAsSelector(&monitor.Spec.Selector)
	if err != nil || len(monitor.Spec.PodMetricsEndpoints) != 1 {
		t.Fatalf("%v, endpoints %v", err, monitor.Spec.PodMetricsEndpoints)
	}
	for _, name := range deployments {
		d, c := deployment(t, name)
		if !selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			t.Errorf("the monitor does not select the pods of %s", name)
		}
		wantEqual(t, "port of the monitor", monitor.Spec.PodMetricsEndpoints[0].Port, &c.Ports[0].Name)
	}
}

// TestCentralHasItsConfiguration checks that the files of the ConfigMap and the Secret are where the exporter reads them.
// TestCentralConfiguration in the parent directory checks their contents.
func TestCentralHasItsConfiguration(t *testing.T) {
	settings := object[core.ConfigMap](t, "central.yaml", "v1", "ConfigMap")
	secret := object[core.Secret](t, "central.yaml", "v1", "Secret")
	d, c := deployment(t, "central.yaml")
	wantEqual(t, "arguments", c.Args, []string{"--config.file=/etc/kamailio_exporter/kamailio_exporter.yml"})
	wantEqual(t, "mounts", c.VolumeMounts, []core.VolumeMount{{Name: "configuration", MountPath: "/etc/kamailio_exporter", ReadOnly: true}})
	if _, ok := settings.Data["kamailio_exporter.yml"]; !ok || len(settings.Data) != 1 || len(secret.StringData) == 0 {
		t.Errorf("the ConfigMap has %v and the Secret %v", settings.Data, secret.StringData)
	}
	wantEqual(t, "volumes", d.Spec.Template.Spec.Volumes, []core.Volume{{Name: "configuration", VolumeSource: core.VolumeSource{
		Projected: &core.ProjectedVolumeSource{DefaultMode: new(int32(0o440)), Sources: []core.VolumeProjection{
			{ConfigMap: &core.ConfigMapProjection{LocalObjectReference: core.LocalObjectReference{Name: settings.Name}}},
			{Secret: &core.SecretProjection{LocalObjectReference: core.LocalObjectReference{Name: secret.Name}}},
		}},
	}}})
	if d.Spec.Template.Spec.SecurityContext.FSGroup == nil {
		t.Error("the files have no group that may read them")
	}
	wantEqual(t, "readiness probe", c.ReadinessProbe, &core.Probe{ProbeHandler: core.ProbeHandler{
		HTTPGet: &core.HTTPGetAction{Path: "/-/ready", Port: intstr.FromString("metrics")},
	}})
}

// TestCentralIsReachable checks that the service and the network policy select the pods, that the policy admits Prometheus only,
// and that the operator's Prometheus asks the service for the targets.
func TestCentralIsReachable(t *testing.T) {
	d, c := deployment(t, "central.yaml")
	pod := labels.Set(d.Spec.Template.Labels)

	service := object[core.Service](t, "central.yaml", "v1", "Service")
	if selector := labels.SelectorFromSet(service.Spec.Selector); selector.Empty() || !selector.Matches(pod) {
		t.Errorf("the service selects %v, and the pods have %v", selector, pod)
	}
	wantEqual(t, "ports of the service", service.Spec.Ports, []core.ServicePort{{Name: "metrics", Port: 9494, TargetPort: intstr.FromString(c.Ports[0].Name)}})

	policy := object[networking.NetworkPolicy](t, "central.yaml", "networking.k8s.io/v1", "NetworkPolicy")
	wantEqual(t, "pods of the policy", policy.Spec.PodSelector, *d.Spec.Selector)
	wantEqual(t, "types of the policy", policy.Spec.PolicyTypes, []networking.PolicyType{networking.PolicyTypeIngress})
	wantEqual(t, "rules of the policy", policy.Spec.Ingress, []networking.NetworkPolicyIngressRule{{
		From: []networking.NetworkPolicyPeer{{
			NamespaceSelector: &meta.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "monitoring"}},
			PodSelector:       &meta.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "prometheus"}},
		}},
		Ports: []networking.NetworkPolicyPort{{Protocol: new(core.ProtocolTCP), Port: new(intstr.FromString(c.Ports[0].Name))}},
	}})

	scrape := object[monitoringalpha.ScrapeConfig](t, "scrapeconfig.yaml", "monitoring.coreos.com/v1alpha1", "ScrapeConfig")
	if len(scrape.Spec.HTTPSDConfigs) != 1 || len(scrape.Spec.RelabelConfigs) > 0 || scrape.Spec.MetricsPath != nil {
		t.Fatalf("the operator's configuration is %+v, want one list of targets and nothing that changes them", scrape.Spec)
	}
	wantEqual(t, "list of targets", string(scrape.Spec.HTTPSDConfigs[0].URL), fmt.Sprintf("http://%s.default.svc:%d/sd", service.Name, service.Spec.Ports[0].Port))
}
