package deploycheck

import (
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

type scaler = *autoscalingv2.HorizontalPodAutoscaler

// cluster has the objects of one kustomization.
type cluster struct {
	*report
	folder   string
	program  program
	examples []*corev1.Secret // shown as an example, not built

	deployments []*appsv1.Deployment
	configs     []*corev1.ConfigMap
	accounts    []*corev1.ServiceAccount
	serviceList []*corev1.Service
	routes      []*networkingv1.Ingress
	policies    []*networkingv1.NetworkPolicy
	budgets     []*policyv1.PodDisruptionBudget
	scalers     []scaler
}

func (c *cluster) put(object runtime.Object) {
	switch o := object.(type) {
	case *appsv1.Deployment:
		c.deployments = append(c.deployments, o)
	case *corev1.ConfigMap:
		c.configs = append(c.configs, o)
	case *corev1.ServiceAccount:
		c.accounts = append(c.accounts, o)
	case *corev1.Service:
		c.serviceList = append(c.serviceList, o)
	case *networkingv1.Ingress:
		c.routes = append(c.routes, o)
	case *networkingv1.NetworkPolicy:
		c.policies = append(c.policies, o)
	case *policyv1.PodDisruptionBudget:
		c.budgets = append(c.budgets, o)
	case scaler:
		c.scalers = append(c.scalers, o)
	case *corev1.Secret:
		c.add(c.folder, "Secret %s: a secret is no part of a kustomization", o.Name)
	}
}

func (c *cluster) name(object runtime.Object) string {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return c.folder
	}
	return c.folder + ": " + object.GetObjectKind().GroupVersionKind().Kind + " " + accessor.GetName()
}

// named finds an object by its name.
func named[T metav1.Object](objects []T, name string) (found T, ok bool) {
	i := slices.IndexFunc(objects, func(o T) bool { return o.GetName() == name })
	if i < 0 {
		return found, false
	}
	return objects[i], true
}

// settings are the variables of a deployment's containers, without those whose
// value comes from a secret.
func (c *cluster) settings(d *appsv1.Deployment) map[string]string {
	settings := map[string]string{}
	name := c.name(d)
	for _, container := range d.Spec.Template.Spec.Containers {
		for _, source := range container.EnvFrom {
			if source.ConfigMapRef == nil {
				c.add(name, "takes all of a secret for variables: name each")
				continue
			}
			config, ok := named(c.configs, source.ConfigMapRef.Name)
			c.require(ok, name, "the ConfigMap %s does not exist", source.ConfigMapRef.Name)
			if ok {
				maps.Copy(settings, config.Data)
			}
		}
		for _, variable := range container.Env {
			if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
				c.secretKey(name, from.SecretKeyRef.Name, from.SecretKeyRef.Key)
				continue
			}
			settings[variable.Name] = variable.Value
		}
	}
	return settings
}

// secretKey checks that an example says how to make what is referred to.
func (c *cluster) secretKey(name, secret, key string) {
	example, ok := named(c.examples, secret)
	if !ok {
		c.add(name, "no example shows the Secret %s", secret)
		return
	}
	_, ok = example.StringData[key]
	c.require(ok, name, "the example of the Secret %s has no key %s", secret, key)
}

// mounts checks that the account, the folder that is written to and the files that
// variables name exist.
func (c *cluster) mounts(name string, d *appsv1.Deployment, settings map[string]string) {
	spec := d.Spec.Template.Spec
	_, ok := named(c.accounts, spec.ServiceAccountName)
	c.require(ok, name, "the ServiceAccount %q does not exist", spec.ServiceAccountName)
	for _, volume := range spec.Volumes {
		if volume.Secret != nil {
			for _, item := range volume.Secret.Items {
				c.secretKey(name, volume.Secret.SecretName, item.Key)
			}
		}
	}
	folder := settings[prefix+"DATA_DIR"]
	for _, container := range spec.Containers {
		mounted := slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == folder && !m.ReadOnly })
		c.require(folder != "" && mounted, name, "%sDATA_DIR is %q, which is no volume", prefix, folder)
		files := secretFiles(spec, container)
		for _, variable := range container.Env {
			missing := strings.HasSuffix(variable.Name, fileSuffix) && !slices.Contains(files, variable.Value)
			c.require(!missing, name, "%s names %s, which is not mounted", variable.Name, variable.Value)
		}
	}
}

// secretFiles are the paths at which a container finds secrets.
func secretFiles(spec corev1.PodSpec, container corev1.Container) (files []string) {
	for _, mount := range container.VolumeMounts {
		for _, volume := range spec.Volumes {
			if volume.Name == mount.Name && volume.Secret != nil {
				for _, item := range volume.Secret.Items {
					files = append(files, mount.MountPath+"/"+item.Path)
				}
			}
		}
	}
	return files
}

// services checks that each service leads to pods and their port.
func (c *cluster) services() {
	for _, s := range c.serviceList {
		pods := c.selected(s, s.Namespace, labels.SelectorFromSet(s.Spec.Selector))
		for _, d := range pods {
			for _, port := range s.Spec.Ports {
				c.require(hasPort(d, port.TargetPort), c.name(s), "its port %s is none of %s", port.TargetPort.String(), c.name(d))
			}
		}
	}
}

func hasPort(d *appsv1.Deployment, port intstr.IntOrString) bool {
	return slices.ContainsFunc(d.Spec.Template.Spec.Containers, func(container corev1.Container) bool { return listens(container, port) })
}

func listens(container corev1.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(container.Ports, func(p corev1.ContainerPort) bool {
		return port.Type == intstr.String && p.Name == port.StrVal || port.Type == intstr.Int && p.ContainerPort == port.IntVal
	})
}

// ingresses checks that each route leads to a port of a service, under TLS.
func (c *cluster) ingresses() {
	for _, route := range c.routes {
		var secured []string
		for _, tls := range route.Spec.TLS {
			secured = append(secured, tls.Hosts...)
		}
		for _, rule := range route.Spec.Rules {
			c.require(slices.Contains(secured, rule.Host), c.name(route), "%q is served without TLS", rule.Host)
			if rule.HTTP == nil {
				continue
			}
			for _, path := range rule.HTTP.Paths {
				c.backend(route, path.Backend)
			}
		}
	}
}

func (c *cluster) backend(route *networkingv1.Ingress, backend networkingv1.IngressBackend) {
	if backend.Service == nil {
		c.add(c.name(route), "leads to something that is no service")
		return
	}
	service, ok := named(c.serviceList, backend.Service.Name)
	if !ok {
		c.add(c.name(route), "the Service %s does not exist", backend.Service.Name)
		return
	}
	want := backend.Service.Port
	ok = slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool {
		return want.Name != "" && p.Name == want.Name || want.Number != 0 && p.Port == want.Number
	})
	c.require(ok, c.name(route), "the Service %s has no port %s%d", service.Name, want.Name, max(want.Number, 0))
}

// selectors checks that what guards pods finds them.
func (c *cluster) selectors() {
	for _, p := range c.policies {
		pods := c.selectedBy(p, p.Namespace, &p.Spec.PodSelector)
		c.require(len(p.Spec.PolicyTypes) == 2, c.name(p), "does not rule over both ways")
		for _, d := range pods {
			for _, rule := range p.Spec.Ingress {
				for _, port := range rule.Ports {
					c.require(port.Port != nil && hasPort(d, *port.Port), c.name(p), "lets something in on a port that %s does not have", c.name(d))
				}
			}
		}
	}
	for _, b := range c.budgets {
		c.selectedBy(b, b.Namespace, b.Spec.Selector)
	}
	for _, d := range c.deployments {
		for _, constraint := range d.Spec.Template.Spec.TopologySpreadConstraints {
			selector, err := metav1.LabelSelectorAsSelector(constraint.LabelSelector)
			own := err == nil && selector.Matches(labels.Set(d.Spec.Template.Labels))
			c.require(own, c.name(d), "spreads pods that are not its own over %s", constraint.TopologyKey)
		}
		c.guarded(d)
	}
}

// guarded checks that nothing is missing around a deployment.
func (c *cluster) guarded(d *appsv1.Deployment) {
	c.require(len(c.serviceList) > 0, c.name(d), "has no Service")
	c.require(len(c.budgets) > 0, c.name(d), "has no PodDisruptionBudget")
	c.require(len(c.policies) > 0, c.name(d), "has no NetworkPolicy")
}

func (c *cluster) selectedBy(object runtime.Object, namespace string, selector *metav1.LabelSelector) []*appsv1.Deployment {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		c.add(c.name(object), "%v", err)
		return nil
	}
	return c.selected(object, namespace, s)
}

// selected returns the deployments whose pods are selected. None is a fault.
func (c *cluster) selected(object runtime.Object, namespace string, selector labels.Selector) (found []*appsv1.Deployment) {
	for _, d := range c.deployments {
		if d.Namespace == namespace && !selector.Empty() && selector.Matches(labels.Set(d.Spec.Template.Labels)) {
			found = append(found, d)
		}
	}
	c.require(len(found) > 0, c.name(object), "selects no pods")
	return found
}

// autoscalers checks that each scales a deployment, and keeps enough of it for one to go.
func (c *cluster) autoscalers() {
	for _, s := range c.scalers {
		d, ok := named(c.deployments, s.Spec.ScaleTargetRef.Name)
		c.require(ok, c.name(s), "the Deployment %s does not exist", s.Spec.ScaleTargetRef.Name)
		c.require(s.Spec.MinReplicas != nil && *s.Spec.MinReplicas > 1, c.name(s), "may scale to one replica")
		if ok {
			for _, container := range d.Spec.Template.Spec.Containers {
				c.require(!container.Resources.Requests.Cpu().IsZero(), c.name(s), "scales by CPU, of which %s requests none", container.Name)
			}
		}
	}
}
