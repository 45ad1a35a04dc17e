package deploycheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const top = "../.."

// built is the receiver that all tests share.
var built program

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	scratch, err := os.MkdirTemp("", "deploy-check-test")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(scratch)
	if built, err = buildProgram(context.Background(), top, scratch); err != nil {
		fmt.Println(err)
		return 1
	}
	return m.Run()
}

func TestDockerfile(t *testing.T) {
	if err := checkDockerfile(t.Context(), filepath.Join(top, "Dockerfile")); err != nil {
		t.Error(err)
	}
}

func TestDeployFiles(t *testing.T) {
	if faults := check(t.Context(), filepath.Join(top, "deploy"), built); len(faults) > 0 {
		t.Error(errors.Join(faults...))
	}
}

// Every row changes one place of the real files and names the fault that must be found.
func TestPlantedFaults(t *testing.T) {
	const (
		compose    = "compose.yaml"
		proxy      = "compose/Caddyfile"
		deployment = "kubernetes/base/deployment.yaml"
		base       = "kubernetes/base/kustomization.yaml"
		overlay    = "kubernetes/overlays/production/kustomization.yaml"
		secret     = "kubernetes/overlays/production/secret.example.yaml"
	)
	rows := []struct{ name, file, old, new, want string }{
		// Names and values of variables.
		{"variable that does not exist", compose, "RECEIVER_SHUTDOWN_TIMEOUT:", "RECEIVER_STOP_TIMEOUT:", "RECEIVER_STOP_TIMEOUT is not a variable"},
		{"variable that does not exist, in a comment", deployment, "RECEIVER_DOWNLOAD_CONCURRENCY", "RECEIVER_DOWNLOAD_WORKERS", "RECEIVER_DOWNLOAD_WORKERS is not a variable"},
		{"file of what is no secret", base, "RECEIVER_LOG_FORMAT=json", "RECEIVER_LOG_FORMAT_FILE=/x", "RECEIVER_LOG_FORMAT_FILE is not a variable"},
		{"value that is refused", compose, "RECEIVER_SHUTDOWN_TIMEOUT: 30s", "RECEIVER_SHUTDOWN_TIMEOUT: 30", "the receiver refuses its settings"},
		{"value that is refused, in the overlay", overlay, "RECEIVER_TRUSTED_PROXIES=10.0.0.0/8", "RECEIVER_TRUSTED_PROXIES=10.1.0.0/8", "the receiver refuses its settings"},

		// The compose file.
		{"unknown key", compose, "read_only: true\n  cap_drop", "readonly: true\n  cap_drop", ".readonly false schema"},
		{"not YAML", compose, "services:\n", "services: [\n", "compose.yaml"},
		{"unknown network", compose, "networks: [front, back]", "networks: [front, rear]", "undefined network rear"},
		{"unknown dependency", compose, "    postgres: { condition", "    database: { condition", "undefined service"},
		{"writable root", compose, "read_only: true\n  cap_drop", "read_only: false\n  cap_drop", "read_only is missing"},
		{"capabilities", compose, "cap_drop: [ALL]", "cap_drop: [SETUID]", "does not drop all capabilities"},
		{"more capabilities", compose, "NET_BIND_SERVICE]", "NET_ADMIN]", "adds the capability NET_ADMIN"},
		{"new privileges", compose, "no-new-privileges:true", "no-new-privileges:false", "no-new-privileges is missing"},
		{"root user", compose, `user: "999:999"`, `user: "0:0"`, "runs as root"},
		{"latest image", compose, "caddy:2.11.9-alpine", "caddy:latest", `the image "caddy:latest" is not pinned`},
		{"image without tag", compose, "caddy:2.11.9-alpine", "caddy", `the image "caddy" is not pinned`},
		{"folder of the machine", compose, "{ type: volume, source: proxy-state, target: /state }", "{ type: bind, source: /var/run, target: /state }", "mounts /var/run of the machine"},
		{"no limits", compose, "limits: { cpus: \"2\", memory: 768M, pids: 512 }", "limits: { cpus: \"2\" }", "needs limits of cpus, memory and pids"},
		{"memory limit below Go's", compose, "memory: 768M", "memory: 512M", "GOMEMLIMIT 640MiB is not below"},
		{"endless log", compose, "max-size: 10m, ", "", "its log grows without end"},
		{"no restart", compose, "restart: unless-stopped", "restart: on-failure", "is not started again"},
		{"no health check", compose, "test: [CMD, wget, -q, -O, /dev/null, \"http://127.0.0.1:7070/_/health\"]", "disable: true", "has no health check"},
		{"does not wait for health", compose, "s3: { condition: service_healthy }", "s3: { condition: service_started }", `waits for s3 to be "service_started"`},
		{"published to the world", compose, "${BIND_ADDRESS:-127.0.0.1}:${HTTP_PORT:-8080}", "${HTTP_PORT:-8080}", "beyond this machine by default"},
		{"published database", compose, "    networks: [back]\n    depends_on", "    ports: [\"127.0.0.1:5432:5432\"]\n    networks: [back]\n    depends_on", "publishes its port 5432"},
		{"way out for the stores", compose, "internal: true", "internal: false", "which has a way out"},
		{"password in the environment", compose, "POSTGRES_PASSWORD_FILE: /run/secrets/postgres/password", "POSTGRES_PASSWORD: hunter2", "is a secret in the environment"},
		{"token in the environment", compose, "RECEIVER_WEBHOOK_TOKENS_FILE: /run/secrets/receiver/webhook-tokens", "RECEIVER_WEBHOOK_TOKENS: hunter2-hunter2-hunter2", "is a secret: give it as a file"},
		{"killed too soon", compose, "stop_grace_period: 40s", "stop_grace_period: 30s", "is killed after 30s"},
		{"grace left to Docker", compose, "  stop_grace_period: 40s\n", "", "is killed after 10s"},
		{"no common database", compose, "    RECEIVER_DATABASE_URL_FILE: /run/secrets/receiver/database-url\n", "", "no RECEIVER_DATABASE_URL says"},
		{"images in the container", compose, "    RECEIVER_DOWNLOAD_BUCKET_URL: s3://images?endpoint=http://s3:7070&region=us-east-1&path_style=true\n", "", "keeps images in a folder of its own"},
		{"trusts another network", compose, "RECEIVER_TRUSTED_PROXIES: ${FRONT_SUBNET:-10.213.53.0/28}", "RECEIVER_TRUSTED_PROXIES: 10.0.0.0/8", "trusts the proxies in"},
		{"receiver that gets nothing", compose, "RECEIVERS: receiver-1:8080 receiver-2:8080", "RECEIVERS: receiver-1:8080", "balances over [receiver-1:8080]"},
		{"port without a listener", compose, "receiver-2:8080", "receiver-2:80", "balances over"},
		{"body limit below the receiver's", proxy, "max_size 33MiB", "max_size 10MiB", "cuts bodies at 10MiB"},
		{"fast and loose", compose, "[postgres, -c, shared", "[postgres, -c, synchronous_commit=off, -c, shared", "changes synchronous_commit"},
		{"too few connections", compose, "max_connections=100", "max_connections=40", "lets 40 connections in; the receivers may need 49"},
		{"missing file", compose, "file: compose/setup.sh", "file: compose/install.sh", "install.sh is missing"},

		// What the API server would refuse.
		{"unknown field", deployment, "automountServiceAccountToken:", "automountServiceAccountTokens:", `unknown field "spec.template.spec.automountServiceAccountTokens"`},
		{"field in the wrong case", deployment, "terminationGracePeriodSeconds:", "terminationgraceperiodseconds:", "unknown field"},
		{"wrong type", deployment, "containerPort: 8080", "containerPort: web", "cannot unmarshal"},
		{"missing manifest", base, "  - service.yaml\n", "  - service.yaml\n  - widget.yaml\n", "widget.yaml"},
		{"unknown kind", "kubernetes/base/service.yaml", "kind: Service", "kind: Servise", `no kind "Servise" is registered`},
		{"unknown value", "kubernetes/base/ingress.yaml", "pathType: Prefix", "pathType: Beginning", "Unsupported value"},
		{"probe of a port without that name", deployment, "port: http }\n            periodSeconds: 5", "port: webs_ }\n            periodSeconds: 5", "readinessProbe"},
		{"broken network", "kubernetes/base/networkpolicy.yaml", "cidr: 0.0.0.0/0", "cidr: 0.0.0.0/33", "Invalid value"},
		{"two handlers in one probe", deployment, "httpGet: { path: /readyz, port: http }", "httpGet: { path: /readyz, port: http }\n            tcpSocket: { port: 8080 }", "may not specify more than 1 handler type"},
		{"patch without a target", overlay, "path: /spec/minReplicas", "path: /spec/minimum/replicas", "doc is missing path"},

		// Pods.
		{"root", deployment, "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"},
		{"unconfined", deployment, "        seccompProfile: { type: RuntimeDefault }\n", "", "seccompProfile"},
		{"keeps capabilities", deployment, "drop: [ALL]", "drop: [KILL]", "unrestricted capabilities"},
		{"may gain privileges", deployment, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation"},
		{"writable root file system", deployment, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "its root file system can be written"},
		{"API token", deployment, "automountServiceAccountToken: false", "automountServiceAccountToken: true", "gets a token of the Kubernetes API"},
		{"service links", deployment, "enableServiceLinks: false", "enableServiceLinks: true", "gets variables of services"},
		{"unpinned image", overlay, "newTag: 0.1.0", "newTag: latest", "is not pinned to a version"},
		{"no request", deployment, "cpu: 250m, ", "", "needs requests of cpu and memory"},
		{"no limit", deployment, "limits: { memory: 768Mi, ", "limits: { ", "needs limits of memory"},
		{"memory limit below Go's, pod", deployment, "limits: { memory: 768Mi", "limits: { memory: 512Mi", "GOMEMLIMIT 640MiB is not below"},
		{"endless folder", deployment, "emptyDir: { sizeLimit: 10Gi }", "emptyDir: {}", "may fill the node"},
		{"liveness asks the store", deployment, "httpGet: { path: /livez, port: http }\n            periodSeconds: 10", "httpGet: { path: /readyz, port: http }\n            periodSeconds: 10", "the liveness probe does not ask /livez"},
		{"no startup probe", deployment, "startupProbe:\n            httpGet: { path: /livez, port: http }\n            periodSeconds: 2\n            timeoutSeconds: 2\n            failureThreshold: 60\n", "", "needs startup, liveness and readiness probes"},
		{"rollout takes away", deployment, "maxUnavailable: 0, maxSurge: 1", "maxUnavailable: 1, maxSurge: 1", "maxUnavailable is not 0"},
		{"no pause after the signal", base, "RECEIVER_SHUTDOWN_DELAY=15s", "RECEIVER_SHUTDOWN_DELAY=5s", "refuses requests while it still gets some"},
		{"killed too soon, pod", deployment, "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 45", "is killed after 45s"},
		{"replicas beside an autoscaler", deployment, "  revisionHistoryLimit: 5", "  revisionHistoryLimit: 5\n  replicas: 2", "would be reset by every apply"},
		{"one replica", overlay, "path: /spec/minReplicas, value: 3", "path: /spec/minReplicas, value: 1", "may scale to one replica"},
		{"images in the pod", base, "RECEIVER_DOWNLOAD_BUCKET_URL=s3://example-images", "RECEIVER_DOWNLOAD_BUCKET_URL=file:///data/images", "keeps images in a folder of its own"},
		{"data on the root", base, "RECEIVER_DATA_DIR=/data", "RECEIVER_DATA_DIR=/var/data", "which is no volume"},
		{"all on one node", deployment, spreading, "", "all replicas may be on one node"},
		{"unknown probe of a port", deployment, "httpGet: { path: /readyz, port: http }", "httpGet: { path: /readyz, port: web }", "the readiness probe asks the port web"},
		{"kind that nothing validates", deployment, "kind: Deployment", "kind: StatefulSet", "nothing here validates this kind"},

		// References.
		{"selector of nothing", "kubernetes/base/service.yaml", "component: receiver", "component: receivers", "Service receiver: selects no pods"},
		{"budget of nothing", "kubernetes/base/disruptionbudget.yaml", "component: receiver", "component: receivers", "PodDisruptionBudget receiver: selects no pods"},
		{"policy of nothing", "kubernetes/base/networkpolicy.yaml", "component: receiver", "component: receivers", "NetworkPolicy receiver: selects no pods"},
		{"spreads others", deployment, "matchLabelKeys: [pod-template-hash]\n          labelSelector:\n            matchLabels: { app.kubernetes.io/component: receiver }\n        - ", "matchLabelKeys: [pod-template-hash]\n          labelSelector:\n            matchLabels: { app.kubernetes.io/component: other }\n        - ", "spreads pods that are not its own"},
		{"scales nothing", "kubernetes/base/autoscaler.yaml", "kind: Deployment, name: receiver", "kind: Deployment, name: other", "the Deployment other does not exist"},
		{"unknown port", "kubernetes/base/service.yaml", "targetPort: http", "targetPort: web", "its port web is none of"},
		{"unknown policy for a port", "kubernetes/base/networkpolicy.yaml", "port: http", "port: web", "on a port that"},
		{"route to nowhere", "kubernetes/base/ingress.yaml", "service: { name: receiver, ", "service: { name: receivers, ", "the Service receivers does not exist"},
		{"unknown route to a port", "kubernetes/base/ingress.yaml", "port: { name: http }", "port: { number: 8080 }", "has no port 8080"},
		{"without TLS", overlay, "path: /spec/tls/0/hosts/0, value: hooks.example.com", "path: /spec/tls/0/hosts/0, value: other.example.com", "is served without TLS"},
		{"unknown settings", deployment, "configMapRef: { name: receiver }", "configMapRef: { name: settings }", "the ConfigMap settings does not exist"},
		{"unknown account", deployment, "serviceAccountName: receiver", "serviceAccountName: other", `the ServiceAccount "other" does not exist`},
		{"unknown secret", deployment, "secretName: receiver", "secretName: other", "no example shows the Secret other"},
		{"key that the example lacks", secret, "  webhook-tokens: TOKEN\n", "", "has no key webhook-tokens"},
		{"file that is not mounted", deployment, "value: /run/secrets/receiver/database-url", "value: /run/secrets/database-url", "which is not mounted"},
		{"secret in the kustomization", overlay, "  - namespace.yaml", "  - namespace.yaml\n  - secret.example.yaml", "a secret is no part of a kustomization"},
		{"no budget", base, "  - disruptionbudget.yaml\n", "", "has no PodDisruptionBudget"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			found := errors.Join(checkPart(t, plant(t, row.file, row.old, row.new), row.file)...)
			if found == nil || !strings.Contains(found.Error(), row.want) {
				t.Errorf("faults = %v, want %q among them", found, row.want)
			}
		})
	}
}

// checkPart checks only the half in which the file is: there are many rows.
func checkPart(t *testing.T, folder, file string) []error {
	t.Helper()
	r := &report{}
	built.checkNames(r, folder)
	if strings.HasPrefix(file, "kubernetes/") {
		checkKubernetes(t.Context(), r, filepath.Join(folder, "kubernetes"), built)
	} else {
		checkCompose(t.Context(), r, filepath.Join(folder, "compose.yaml"), built)
	}
	return r.faults
}

// spreading is the placement of the pods in the deployment.
const spreading = `      topologySpreadConstraints:
        - topologyKey: topology.kubernetes.io/zone
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          matchLabelKeys: [pod-template-hash]
          labelSelector:
            matchLabels: { app.kubernetes.io/component: receiver }
        - topologyKey: kubernetes.io/hostname
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          matchLabelKeys: [pod-template-hash]
          labelSelector:
            matchLabels: { app.kubernetes.io/component: receiver }
`

// plant returns a copy of the files in which one text is replaced.
func plant(t *testing.T, file, old, replacement string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(top, "deploy"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q any more: this row plants nothing", file, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}
