package deploycheck

import (
	"context"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"
	"github.com/sirupsen/logrus"
)

// checkCompose loads the compose file, which validates it against the Compose
// specification, and checks each service. No variable is set, as in a new
// installation.
func checkCompose(ctx context.Context, r *report, file string, receiver program) {
	warnings := &logHook{}
	logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{logrus.WarnLevel: {warnings}})
	project, err := loader.LoadWithContext(ctx, types.ConfigDetails{
		WorkingDir:  filepath.Dir(file),
		ConfigFiles: []types.ConfigFile{{Filename: file}},
		Environment: types.Mapping{},
	})
	if err != nil {
		r.add(file, "%v", err)
		return
	}
	for _, warning := range warnings.messages {
		r.add(file, "%s", warning)
	}
	c := composeCheck{report: r, project: project, program: receiver}
	for _, service := range c.services() {
		c.hardening(service)
		c.limits(service)
		c.health(service)
		c.exposure(service)
		c.secrets(service)
	}
	c.receivers(ctx)
	c.proxy()
	c.durability()
	c.connections()
	c.configs()
}

// logHook records the warnings of the loader as faults.
type logHook struct{ messages []string }

func (h *logHook) Levels() []logrus.Level { return []logrus.Level{logrus.WarnLevel} }

func (h *logHook) Fire(entry *logrus.Entry) error {
	h.messages = append(h.messages, entry.Message)
	return nil
}

type composeCheck struct {
	*report
	project *types.Project
	program program
}

// services returns the services sorted by name, so that faults have a stable order.
func (c composeCheck) services() []types.ServiceConfig {
	services := slices.Collect(maps.Values(c.project.Services))
	slices.SortFunc(services, func(a, b types.ServiceConfig) int { return strings.Compare(a.Name, b.Name) })
	return services
}

func where(service types.ServiceConfig) string { return "compose service " + service.Name }

// endsByItself reports whether a service runs once.
func endsByItself(service types.ServiceConfig) bool { return service.Restart == "no" }

func (c composeCheck) hardening(s types.ServiceConfig) {
	c.require(s.Build != nil || isPinned(s.Image), where(s), "the image %q is not pinned to a version", s.Image)
	c.require(s.ReadOnly, where(s), "its root file system can be written: read_only is missing")
	c.require(slices.Contains(s.CapDrop, "ALL"), where(s), "does not drop all capabilities")
	for _, capability := range s.CapAdd {
		c.require(capability == "NET_BIND_SERVICE", where(s), "adds the capability %s", capability)
	}
	c.require(slices.Contains(s.SecurityOpt, "no-new-privileges:true"), where(s), "may gain privileges: no-new-privileges is missing")
	c.require(!s.Privileged && s.Pid == "" && s.Ipc == "" && s.NetworkMode != "host" && !s.UseAPISocket, where(s), "shares something of the machine")
	// The image of the receiver sets its user; a service that runs once prepares volumes as root.
	c.require(s.Build != nil || endsByItself(s) || (s.User != "" && !strings.HasPrefix(s.User, "0")), where(s), "runs as root: user is missing")
	for _, volume := range s.Volumes {
		c.require(volume.Type != types.VolumeTypeBind, where(s), "mounts %s of the machine", volume.Source)
	}
}

func (c composeCheck) limits(s types.ServiceConfig) {
	if s.Deploy == nil || s.Deploy.Resources.Limits == nil {
		c.add(where(s), "has no resource limits")
	} else {
		l := s.Deploy.Resources.Limits
		c.require(l.MemoryBytes > 0 && l.NanoCPUs > 0 && l.Pids > 0, where(s), "needs limits of cpus, memory and pids")
		c.memory(s, int64(l.MemoryBytes))
	}
	rotated := s.Logging != nil && s.Logging.Options["max-size"] != "" && s.Logging.Options["max-file"] != ""
	c.require(rotated, where(s), "its log grows without end: max-size and max-file are missing")
	c.require(s.Restart == "unless-stopped" || s.Restart == "always" || endsByItself(s), where(s), "is not started again after a crash")
}

// memory checks that GOMEMLIMIT, if set, is below the limit of the container.
func (c composeCheck) memory(s types.ServiceConfig, limit int64) {
	soft := environmentOf(s)["GOMEMLIMIT"]
	if soft == "" {
		return
	}
	bytes, err := units.RAMInBytes(soft)
	c.require(err == nil && bytes < limit, where(s), "GOMEMLIMIT %s is not below its memory limit %d", soft, limit)
}

func (c composeCheck) health(s types.ServiceConfig) {
	if !endsByItself(s) {
		h := s.HealthCheck
		c.require(h != nil && !h.Disable && len(h.Test) > 1, where(s), "has no health check")
	}
	for name, dependency := range s.DependsOn {
		other, err := c.project.GetService(name)
		if err != nil {
			continue // the loader has reported it
		}
		want := types.ServiceConditionHealthy
		if endsByItself(other) {
			want = types.ServiceConditionCompletedSuccessfully
		}
		c.require(dependency.Condition == want, where(s), "waits for %s to be %q, want %q", name, dependency.Condition, want)
	}
}

// exposure checks that only the proxy publishes ports, by default on loopback.
func (c composeCheck) exposure(s types.ServiceConfig) {
	for _, port := range s.Ports {
		c.require(s.Name == "proxy", where(s), "publishes its port %d", port.Target)
		address, err := netip.ParseAddr(port.HostIP)
		c.require(err == nil && address.IsLoopback(), where(s), "publishes its port %d beyond this machine by default", port.Target)
	}
	for name := range s.Networks {
		keeps := s.Name != "proxy" && !c.isReceiver(s)
		c.require(!keeps || c.project.Networks[name].Internal, where(s), "is in the network %s, which has a way out", name)
	}
}

var secretName = regexp.MustCompile(`PASSWORD|SECRET|TOKEN|ACCESS_KEY`)

// secrets checks that no secret is in the environment, which "docker inspect" shows.
func (c composeCheck) secrets(s types.ServiceConfig) {
	for name := range environmentOf(s) {
		inFile := strings.HasSuffix(name, fileSuffix)
		c.require(inFile || !secretName.MatchString(name), where(s), "%s is a secret in the environment", name)
	}
}

func environmentOf(s types.ServiceConfig) map[string]string {
	settings := map[string]string{}
	for name, value := range s.Environment {
		if value != nil {
			settings[name] = *value
		}
	}
	return settings
}

// isReceiver reports whether a service is built from this repository.
func (c composeCheck) isReceiver(s types.ServiceConfig) bool { return s.Build != nil }

func (c composeCheck) receivers(ctx context.Context) {
	for _, s := range c.services() {
		if !c.isReceiver(s) {
			continue
		}
		settings := environmentOf(s)
		c.program.accepts(ctx, c.report, where(s), settings)
		c.program.checkStores(c.report, where(s), settings)
		grace := 10 * time.Second // Docker's own
		if s.StopGracePeriod != nil {
			grace = time.Duration(*s.StopGracePeriod)
		}
		c.program.checkStop(c.report, where(s), settings, grace)
		c.trust(s, settings[prefix+"TRUSTED_PROXIES"])
	}
}

// trust checks that the receiver trusts the network of the proxy and no other.
func (c composeCheck) trust(s types.ServiceConfig, networks string) {
	for name := range c.project.Services["proxy"].Networks {
		for _, pool := range c.project.Networks[name].Ipam.Config {
			if _, shared := s.Networks[name]; shared {
				c.require(networks == pool.Subnet, where(s), "trusts the proxies in %q, and the proxy is in %s", networks, pool.Subnet)
			}
		}
	}
}

var bodyLimit = regexp.MustCompile(`max_size\s+(\S+)`)

// proxy checks that every receiver gets callbacks, and that the body limit is above the receiver's.
func (c composeCheck) proxy() {
	s, err := c.project.GetService("proxy")
	if err != nil {
		c.add("compose file", "has no service proxy")
		return
	}
	balanced := strings.Fields(environmentOf(s)["RECEIVERS"])
	port := strings.TrimPrefix(c.program.value(nil, prefix+"LISTEN_ADDR"), ":")
	var built []string
	for _, other := range c.services() {
		if c.isReceiver(other) {
			built = append(built, other.Name+":"+port)
		}
	}
	slices.Sort(balanced)
	c.require(len(built) > 1 && slices.Equal(balanced, built), where(s), "balances over %v; the receivers are %v", balanced, built)

	text, err := os.ReadFile(filepath.Join(c.project.WorkingDir, "compose", "Caddyfile"))
	if err != nil {
		c.add(where(s), "%v", err)
		return
	}
	most, err := strconv.ParseInt(c.program.value(nil, prefix+"WEBHOOK_MAX_BODY_BYTES"), 10, 64)
	limit := bodyLimit.FindSubmatch(text)
	if err != nil || limit == nil {
		c.add(where(s), "the Caddyfile has no max_size for bodies")
		return
	}
	bytes, err := units.RAMInBytes(string(limit[1]))
	c.require(err == nil && bytes > most, where(s), "cuts bodies at %s, before the receiver's own limit of %d bytes", limit[1], most)
}

// durability checks that no setting of Postgres risks committed events.
func (c composeCheck) durability() {
	for _, s := range c.services() {
		for _, word := range slices.Concat([]string(s.Command), []string(s.Entrypoint)) {
			for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
				c.require(!strings.Contains(word, setting), where(s), "changes %s: an answer of 200 must survive a power cut", setting)
			}
		}
	}
}

var maxConnections = regexp.MustCompile(`^max_connections=(\d+)$`)

// connections checks that Postgres allows the connections of all receivers and one more.
func (c composeCheck) connections() {
	needed := 1
	for _, s := range c.services() {
		if c.isReceiver(s) {
			pool, err := strconv.Atoi(c.program.value(environmentOf(s), prefix+"DATABASE_MAX_CONNECTIONS"))
			c.require(err == nil, where(s), "its pool of connections: %v", err)
			needed += pool
		}
	}
	for _, s := range c.services() {
		for _, word := range s.Command {
			if most := maxConnections.FindStringSubmatch(word); most != nil {
				n, err := strconv.Atoi(most[1])
				c.require(err == nil && n >= needed, where(s), "lets %s connections in; the receivers may need %d", most[1], needed)
			}
		}
	}
}

// configs checks that mounted files exist; Docker would create folders instead.
func (c composeCheck) configs() {
	for name, config := range c.project.Configs {
		info, err := os.Stat(config.File)
		c.require(err == nil && info.Mode().IsRegular(), "compose config "+name, "the file %s is missing", config.File)
	}
}
