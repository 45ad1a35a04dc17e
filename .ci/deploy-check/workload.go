package deploycheck

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// podRules holds the pods to the restricted standard, by the code of the admission
// that enforces it, and to more of our own.
func (c *cluster) podRules(name string, d *appsv1.Deployment) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		c.add(name, "%v", err)
		return
	}
	spec := &d.Spec.Template.Spec
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(restricted, &d.Spec.Template.ObjectMeta, spec) {
		c.require(result.Allowed, name, "%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
	}
	c.require(isFalse(spec.AutomountServiceAccountToken), name, "gets a token of the Kubernetes API that it does not need")
	c.require(isFalse(spec.EnableServiceLinks), name, "gets variables of services, which may begin with RECEIVER_")
	c.require(len(spec.TopologySpreadConstraints) > 0, name, "all replicas may be on one node: topologySpreadConstraints are missing")
	for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
		c.container(name+" container "+container.Name, container)
	}
	for _, volume := range spec.Volumes {
		if volume.EmptyDir != nil {
			c.require(volume.EmptyDir.SizeLimit != nil, name, "the volume %s may fill the node: sizeLimit is missing", volume.Name)
		}
		c.require(volume.HostPath == nil, name, "the volume %s is a folder of the node", volume.Name)
	}
}

func isFalse(b *bool) bool { return b != nil && !*b }

func (c *cluster) container(name string, container corev1.Container) {
	c.require(isPinned(container.Image), name, "the image %q is not pinned to a version", container.Image)
	security := container.SecurityContext
	c.require(security != nil && security.ReadOnlyRootFilesystem != nil && *security.ReadOnlyRootFilesystem, name, "its root file system can be written")
	probed := container.StartupProbe != nil && container.LivenessProbe != nil && container.ReadinessProbe != nil
	c.require(probed, name, "needs startup, liveness and readiness probes")
	c.probe(name, "startup", container, container.StartupProbe, "/livez")
	c.probe(name, "liveness", container, container.LivenessProbe, "/livez")
	c.probe(name, "readiness", container, container.ReadinessProbe, "/readyz")
	requests, limits := container.Resources.Requests, container.Resources.Limits
	c.require(!requests.Cpu().IsZero() && !requests.Memory().IsZero(), name, "needs requests of cpu and memory")
	c.require(!limits.Memory().IsZero() && !limits.StorageEphemeral().IsZero(), name, "needs limits of memory and ephemeral-storage")
	for _, variable := range container.Env {
		if variable.Name == "GOMEMLIMIT" {
			soft, err := resource.ParseQuantity(strings.TrimSuffix(variable.Value, "B"))
			c.require(err == nil && soft.Cmp(*limits.Memory()) < 0, name, "GOMEMLIMIT %s is not below its memory limit %s", variable.Value, limits.Memory())
		}
	}
}

// probe checks that a probe asks what it should. A liveness probe that asked the store
// would start every replica again when the store is down.
func (c *cluster) probe(name, kind string, container corev1.Container, probe *corev1.Probe, path string) {
	if probe == nil {
		return // which is a fault already
	}
	if probe.HTTPGet == nil || probe.HTTPGet.Path != path {
		c.add(name, "the %s probe does not ask %s", kind, path)
		return
	}
	port := probe.HTTPGet.Port
	c.require(listens(container, port), name, "the %s probe asks the port %s, which is none of the container", kind, port.String())
}

// rollout checks that a new version takes nothing away before it is there.
func (c *cluster) rollout(name string, d *appsv1.Deployment) {
	rolling := d.Spec.Strategy.RollingUpdate
	none := rolling != nil && rolling.MaxUnavailable != nil && *rolling.MaxUnavailable == intstr.FromInt32(0)
	c.require(d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType && none, name, "a rollout may take replicas away: maxUnavailable is not 0")
	scaled := slices.ContainsFunc(c.scalers, func(s scaler) bool { return s.Spec.ScaleTargetRef.Name == d.Name })
	c.require(!scaled || d.Spec.Replicas == nil, name, "its replicas are the autoscaler's and would be reset by every apply")
	c.require(scaled || d.Spec.Replicas != nil && *d.Spec.Replicas > 1, name, "has one replica only")
}

// routing is how long a pod may get requests after its signal, while the endpoints are updated.
const routing = 10 * time.Second

// stop checks that a pod serves on while it is being forgotten, and is not killed while it
// stops.
func (c *cluster) stop(name string, d *appsv1.Deployment, settings map[string]string) {
	spec := d.Spec.Template.Spec
	delay, err := time.ParseDuration(c.program.value(settings, shutdownDelay))
	c.require(err == nil && delay >= routing, name, "refuses requests while it still gets some: %s is less than %v", shutdownDelay, routing)
	grace := 30 * time.Second // Kubernetes' own
	if spec.TerminationGracePeriodSeconds != nil {
		grace = time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second
	}
	c.program.checkStop(c.report, name, settings, grace)
}
