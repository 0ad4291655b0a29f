package check

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	goyaml "go.yaml.in/yaml/v3"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionapi "k8s.io/pod-security-admission/api"
	admission "k8s.io/pod-security-admission/policy"
	gatewayapi "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

const (
	chart       = "helm/gatehouse-gateway"
	kubeVersion = "1.33.0" // for which the golden files are rendered
)

// setByChart are the members of the gateway's file that the chart sets itself.
var setByChart = []string{
	"listen", "operator", "drain_delay", "shutdown_timeout", "session_key", "session_key_file", "assertion_key_file", "key_folder",
}

// TestChartSchema checks that values.schema.json consists of chart_schema.json and, for the value
// config, the schema of the gateway's file.
func TestChartSchema(t *testing.T) {
	var own, gateway map[string]any
	for path, v := range map[string]*map[string]any{"chart_schema.json": &own, "../../docs/gateway.schema.json": &gateway} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	members := gateway["properties"].(map[string]any)
	for _, name := range setByChart {
		delete(members, name)
	}
	own["properties"].(map[string]any)["config"] = map[string]any{
		"description": "File of the gateway, without what the chart sets.", "type": "object",
		"additionalProperties": false, "required": gateway["required"], "properties": members,
	}
	own["$defs"] = gateway["$defs"]
	want, err := json.MarshalIndent(own, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("../..", chart, "values.schema.json"), string(want)+"\n")
}

// helm runs helm in the folder of the chart.
func helm(t testing.TB, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir() // no plugins or repositories of the user
	return command{
		dir: filepath.Join(deploy, chart), argv: append([]string{goTool(t, helmModule)}, args...),
		env: []string{"HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home, "HELM_CACHE_HOME=" + home},
	}.output()
}

// template renders the chart with values of ci and further arguments.
func template(t testing.TB, values string, args ...string) (string, error) {
	t.Helper()
	args = append([]string{"template", "mcp", ".", "--namespace", "tools", "--kube-version", kubeVersion,
		"--api-versions", "monitoring.coreos.com/v1", "-f", "ci/" + values + "-values.yaml"}, args...)
	return helm(t, args...)
}

// chartValues are the names of the values in ci.
func chartValues(t testing.TB) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(deploy, chart, "ci/*-values.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("found %d values, %v", len(paths), err)
	}
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), "-values.yaml"))
	}
	return names
}

func TestChartGolden(t *testing.T) {
	for _, name := range chartValues(t) {
		t.Run(name, func(t *testing.T) {
			if _, err := helm(t, "lint", ".", "--strict", "--kube-version", kubeVersion, "-f", "ci/"+name+"-values.yaml"); err != nil {
				t.Error(err)
			}
			out, err := template(t, name)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "chart/"+name+".yaml", out)
		})
	}
}

// TestChartFaults changes one value each of values that are valid.
func TestChartFaults(t *testing.T) {
	tests := []struct{ name, set, want string }{
		{"none", "replicas=3", ""},
		{"misspelt value", "replica=3", "additional properties 'replica' not allowed"},
		{"misspelt setting of the gateway", "config.endpoints[0].upstrem=http://x", "additional properties 'upstrem' not allowed"},
		{"setting of the chart", "config.listen=:8080", "additional properties 'listen' not allowed"},
		{"no endpoints", "config.endpoints=null", "at '/config/endpoints': got null, want array"},
		{"no shared keys", "keys.existingSecret=", "keys.existingSecret is empty"},
		{"no shared keys and one replica", "keys.existingSecret=,replicas=1", ""},
		{"no shared keys and autoscaling", "keys.existingSecret=,replicas=1,autoscaling.enabled=true", "keys.existingSecret is empty"},
		{"port of users", "operator.port=3000", "operator.port 3000 is the port of users"},
		{"route without a Gateway", "httpRoute.enabled=true", "httpRoute.parentRefs is empty"},
		{"route with a Gateway", "httpRoute.enabled=true,httpRoute.parentRefs[0].name=public", ""},
		{"path that no route removes", "config.endpoints[0].local_path=/mcp", "local_path of the endpoint https://mcp.example.com/notes"},
		{"path that a route of your own removes", "config.endpoints[0].local_path=/mcp,ingress.enabled=false", ""},
		{"misspelt setting of the provider", "config.provider.isuer=x", "at '/config/provider': additional properties 'isuer' not allowed"},
		{"misspelt provider", "config.provider.name=auth1", "at '/config/provider/name': value must be one of 'auth0',"},
		{"URL without https", "config.endpoints[0].url=mcp.example.com/notes", "the url \"mcp.example.com/notes\" of an endpoint does not begin with https://"},
		{"plain http", "config.endpoints[0].url=http://mcp.example.com/notes", "does not begin with https://"},
		{"plain http without a route", "config.endpoints[0].url=http://localhost:3000/mcp,ingress.enabled=false", ""},
		{"memory", "resources.limits.memory=0.5Gi", `resources.limits.memory "0.5Gi" is not a whole number`},
		{"no memory limit", "resources.limits=null", ""},
		{"replicas", "autoscaling.enabled=true,autoscaling.minReplicas=20", "minReplicas 20 is more than autoscaling.maxReplicas 10"},
		{"digest", "image.digest=sha256:abc", "'sha256:abc' does not match pattern"},
		{"every pod as a backend", "networkPolicy.backends[0].name=x,networkPolicy.backends[0].port=80", "missing property 'podSelector'"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := template(t, "ingress", "--set", test.set)
			if lines := strings.Count(fmt.Sprint(err), "\n"); lines > 8 {
				t.Errorf("--set %s: the error has %d lines:\n%v", test.set, lines, err)
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("--set %s: got %v, want an error with %q", test.set, err, test.want)
			}
		})
	}
}

// objects decodes the objects of a rendered chart. A member that its type does not have is an
// error.
func objects(t testing.TB, rendered string) map[string]any {
	t.Helper()
	all := map[string]any{}
	decoder := goyaml.NewDecoder(strings.NewReader(rendered))
	for {
		var document map[string]any
		if err := decoder.Decode(&document); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if document == nil {
			continue
		}
		text, err := yaml.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		kind := fmt.Sprint(document["apiVersion"], " ", document["kind"])
		object := newObject(kind)
		if object == nil {
			t.Fatalf("kind %q is not known", kind)
		}
		if err := yaml.UnmarshalStrict(text, object); err != nil {
			t.Fatalf("%s: %v\n%s", kind, err, text)
		}
		name := document["metadata"].(map[string]any)["name"].(string)
		if key := fmt.Sprint(document["kind"], " ", name); all[key] != nil {
			t.Errorf("%s appears twice", key)
		} else {
			all[key] = object
		}
	}
}

func newObject(kind string) any {
	switch kind {
	case "v1 ConfigMap":
		return new(core.ConfigMap)
	case "v1 Service":
		return new(core.Service)
	case "v1 Pod":
		return new(core.Pod)
	case "apps/v1 Deployment":
		return new(apps.Deployment)
	case "networking.k8s.io/v1 Ingress":
		return new(networking.Ingress)
	case "networking.k8s.io/v1 NetworkPolicy":
		return new(networking.NetworkPolicy)
	case "policy/v1 PodDisruptionBudget":
		return new(policy.PodDisruptionBudget)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return new(autoscaling.HorizontalPodAutoscaler)
	case "gateway.networking.k8s.io/v1 HTTPRoute":
		return new(gatewayapi.HTTPRoute)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return new(monitoring.ServiceMonitor)
	}
	return nil
}

// rendered returns the objects of the chart with values of ci.
func rendered(t testing.TB, values string, args ...string) map[string]any {
	t.Helper()
	out, err := template(t, values, args...)
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, out)
}

// TestChartObjects checks that every object has the form of its type, and that the pods keep to
// the Pod Security Standard "restricted".
func TestChartObjects(t *testing.T) {
	evaluator, err := admission.NewEvaluator(admission.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := admissionapi.LevelVersion{Level: admissionapi.LevelRestricted, Version: admissionapi.LatestVersion()}
	for _, name := range chartValues(t) {
		pods := 0
		for key, object := range rendered(t, name) {
			var spec *core.PodSpec
			var metadata *meta.ObjectMeta
			switch o := object.(type) {
			case *apps.Deployment:
				spec, metadata = &o.Spec.Template.Spec, &o.Spec.Template.ObjectMeta
			case *core.Pod:
				spec, metadata = &o.Spec, &o.ObjectMeta
			default:
				continue
			}
			pods++
			faultsOf := func() string {
				result := admission.AggregateCheckResults(evaluator.EvaluatePod(restricted, metadata, spec))
				return result.ForbiddenDetail()
			}
			if got := faultsOf(); got != "" {
				t.Errorf("%s: %s is not restricted: %s", name, key, got)
			}
			root := false
			spec.SecurityContext.RunAsNonRoot = &root
			if faultsOf() == "" {
				t.Errorf("%s: %s with runAsNonRoot false passes", name, key)
			}
		}
		if pods != 2 {
			t.Errorf("%s: got %d pods, want the deployment and the test", name, pods)
		}
	}
}

// TestChartSelectors checks that each selector finds the pods of the deployment and no others, and
// each port the container.
func TestChartSelectors(t *testing.T) {
	for _, name := range chartValues(t) {
		all := rendered(t, name)
		deployment := all["Deployment mcp-gatehouse-gateway"].(*apps.Deployment)
		test := all["Pod mcp-gatehouse-gateway-test"].(*core.Pod)
		labels := deployment.Spec.Template.Labels
		ports := map[string]bool{}
		for _, port := range deployment.Spec.Template.Spec.Containers[0].Ports {
			ports[port.Name] = true
		}
		selectors := map[string]map[string]string{"Deployment": deployment.Spec.Selector.MatchLabels}
		for key, object := range all {
			switch o := object.(type) {
			case *core.Service:
				selectors[key] = o.Spec.Selector
				if target := o.Spec.Ports[0].TargetPort.StrVal; !ports[target] {
					t.Errorf("%s: %s has the port %q, which the container does not have", name, key, target)
				}
			case *policy.PodDisruptionBudget:
				selectors[key] = o.Spec.Selector.MatchLabels
			case *networking.NetworkPolicy:
				if key == "NetworkPolicy mcp-gatehouse-gateway" {
					selectors[key] = o.Spec.PodSelector.MatchLabels
				} else {
					selectors[key] = o.Spec.Ingress[0].From[0].PodSelector.MatchLabels
				}
			case *monitoring.ServiceMonitor:
				if service := all["Service mcp-gatehouse-gateway-operator"].(*core.Service); !matches(o.Spec.Selector.MatchLabels, service.Labels) {
					t.Errorf("%s: the monitor does not find the Service", name)
				}
				if public := all["Service mcp-gatehouse-gateway"].(*core.Service); matches(o.Spec.Selector.MatchLabels, public.Labels) {
					t.Errorf("%s: the monitor finds the Service of users", name)
				}
			}
		}
		for key, selector := range selectors {
			if !matches(selector, labels) || matches(selector, test.Labels) {
				t.Errorf("%s: the selector %v of %s does not find exactly the gateway", name, selector, key)
			}
		}
	}
}

// TestChartPolicyAdmitsTest checks that the pod of "helm test" reaches the port of users, also when
// networkPolicy.from names who may.
func TestChartPolicyAdmitsTest(t *testing.T) {
	const from = "networkPolicy.from[0].namespaceSelector.matchLabels.app=router"
	for _, test := range []struct {
		name, set string
		wantPeers int // 0 admits everyone
	}{
		{"everyone", "networkPolicy.enabled=true", 0},
		{"peers", "networkPolicy.enabled=true," + from, 2},
		{"peers, and another name", "nameOverride=" + strings.Repeat("n", 63) + ",fullnameOverride=mcp-gatehouse-gateway,networkPolicy.enabled=true," + from, 2},
	} {
		all := rendered(t, "one-replica", "--set", test.set)
		labels := all["Pod mcp-gatehouse-gateway-test"].(*core.Pod).Labels
		peers := all["NetworkPolicy mcp-gatehouse-gateway"].(*networking.NetworkPolicy).Spec.Ingress[0].From
		admitted := len(peers) == 0
		for _, peer := range peers {
			admitted = admitted || peer.NamespaceSelector == nil && matches(peer.PodSelector.MatchLabels, labels)
		}
		if len(peers) != test.wantPeers || !admitted {
			t.Errorf("%s: got peers %v, want %d, one of which is the pod with the labels %v", test.name, peers, test.wantPeers, labels)
		}
		if name := labels["app.kubernetes.io/name"]; len(name) > 63 {
			t.Errorf("%s: the label %q is longer than 63 characters", test.name, name)
		}
	}
}

func matches(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return len(selector) > 0
}

// TestChartGracePeriod checks that Kubernetes waits longer than the gateway needs to stop.
func TestChartGracePeriod(t *testing.T) {
	for _, name := range chartValues(t) {
		all := rendered(t, name)
		var file struct {
			Drain    seconds `json:"drain_delay"`
			Shutdown seconds `json:"shutdown_timeout"`
		}
		if err := yaml.Unmarshal([]byte(all["ConfigMap mcp-gatehouse-gateway"].(*core.ConfigMap).Data["gateway.yaml"]), &file); err != nil {
			t.Fatal(err)
		}
		grace := *all["Deployment mcp-gatehouse-gateway"].(*apps.Deployment).Spec.Template.Spec.TerminationGracePeriodSeconds
		if file.Drain == 0 || file.Shutdown == 0 || grace <= int64(file.Drain+file.Shutdown) {
			t.Errorf("%s: the grace period is %d s, want more than %d + %d", name, grace, file.Drain, file.Shutdown)
		}
	}
}

// TestChartRoutes checks that the routes lead all paths of clients to the gateway.
func TestChartRoutes(t *testing.T) {
	ingress := rendered(t, "ingress")["Ingress mcp-gatehouse-gateway"].(*networking.Ingress)
	got := map[string][]string{}
	for _, rule := range ingress.Spec.Rules {
		for _, path := range rule.HTTP.Paths {
			got[rule.Host] = append(got[rule.Host], string(*path.PathType)+" "+path.Path)
		}
	}
	want := map[string][]string{
		"mcp.example.com":    {"Exact /notes", "Exact /admin", "Exact /register", "Prefix /.well-known"},
		"search.example.com": {"Exact /", "Exact /register", "Prefix /.well-known"},
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got paths %v, want %v", got, want)
	}
	if timeout := ingress.Annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]; timeout != "7200" {
		t.Errorf("got the time limit %q, want that of the values", timeout)
	}
	route := rendered(t, "everything")["HTTPRoute mcp-gatehouse-gateway-mcp-example-com"].(*gatewayapi.HTTPRoute)
	var paths []string
	for _, match := range route.Spec.Rules[0].Matches {
		paths = append(paths, string(*match.Path.Type)+" "+*match.Path.Value)
	}
	if want := []string{"Exact /mcp", "Exact /register", "PathPrefix /.well-known"}; !slices.Equal(paths, want) {
		t.Errorf("got paths %q of the HTTPRoute, want %q", paths, want)
	}
}
