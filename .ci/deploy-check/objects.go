package deploycheck

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	appsv1 "k8s.io/kubernetes/pkg/apis/apps/v1"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	autoscalingv2 "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	autoscalingvalidation "k8s.io/kubernetes/pkg/apis/autoscaling/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	corescheme "k8s.io/kubernetes/pkg/apis/core/v1"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	networkingv1 "k8s.io/kubernetes/pkg/apis/networking/v1"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	policyv1 "k8s.io/kubernetes/pkg/apis/policy/v1"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
)

// scheme knows the kinds that may be in a kustomization, with the API server's defaults.
var scheme = newScheme()

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		core.AddToScheme, corescheme.AddToScheme, apps.AddToScheme, appsv1.AddToScheme,
		autoscaling.AddToScheme, autoscalingv2.AddToScheme, networking.AddToScheme, networkingv1.AddToScheme,
		policy.AddToScheme, policyv1.AddToScheme,
	} {
		utilruntime.Must(add(s))
	}
	return s
}

// decode reads an object as the API server does that is asked to be strict: an
// unknown field, one given twice or of the wrong type is a fault.
func decode(r *report, source string, text []byte) runtime.Object {
	serializer := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	object, kind, err := serializer.Decode(text, nil, nil)
	if err != nil {
		r.add(source, "%v: %v", kind, err)
	}
	return object
}

// validate applies the API server's defaults and its validation of a new object.
func validate(r *report, source string, object runtime.Object) {
	complete := object.DeepCopyObject()
	accessor, err := meta.Accessor(complete)
	if err != nil {
		r.add(source, "%v", err)
		return
	}
	kind := object.GetObjectKind().GroupVersionKind().Kind
	if accessor.GetNamespace() == "" && kind != "Namespace" {
		accessor.SetNamespace("default")
	}
	scheme.Default(complete)
	internal, err := scheme.ConvertToVersion(complete, runtime.InternalGroupVersioner)
	if err != nil {
		r.add(source, "%s %s: %v", kind, accessor.GetName(), err)
		return
	}
	faults, known := validateInternal(internal)
	r.require(known, source, "%s %s: nothing here validates this kind", kind, accessor.GetName())
	for _, fault := range faults {
		r.add(source, "%s %s: %v", kind, accessor.GetName(), fault)
	}
}

func validateInternal(object runtime.Object) (faults field.ErrorList, known bool) {
	switch o := object.(type) {
	case *apps.Deployment:
		return appsvalidation.ValidateDeployment(o, pod.GetValidationOptionsFromPodTemplate(&o.Spec.Template, nil)), true
	case *core.Service:
		return corevalidation.ValidateServiceCreate(o), true
	case *core.ConfigMap:
		return corevalidation.ValidateConfigMap(o), true
	case *core.Secret:
		return corevalidation.ValidateSecret(o), true
	case *core.ServiceAccount:
		return corevalidation.ValidateServiceAccount(o), true
	case *core.Namespace:
		return corevalidation.ValidateNamespace(o), true
	case *networking.Ingress:
		return networkingvalidation.ValidateIngressCreate(o), true
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.NetworkPolicyValidationOptions{}), true
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{}), true
	case *autoscaling.HorizontalPodAutoscaler:
		options := autoscalingvalidation.HorizontalPodAutoscalerSpecValidationOptions{MinReplicasLowerBound: 1}
		return autoscalingvalidation.ValidateHorizontalPodAutoscaler(o, options), true
	default:
		return nil, false
	}
}

// readExamples reads the secrets that an operator is to make by example.
func readExamples(r *report, folder string) (secrets []*corev1.Secret) {
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(entry.Name(), ".example.yaml") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		object := decode(r, path, text)
		if object == nil {
			return nil
		}
		validate(r, path, object)
		if secret, ok := object.(*corev1.Secret); ok {
			secrets = append(secrets, secret)
		}
		return nil
	})
	if err != nil {
		r.add(folder, "%v", err)
	}
	return secrets
}
