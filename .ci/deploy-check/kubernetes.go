package deploycheck

import (
	"context"
	"io/fs"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// checkKubernetes builds every kustomization below the folder, as kubectl does, and checks
// what comes out; and the example of the secret, which is in none of them.
func checkKubernetes(ctx context.Context, r *report, folder string, receiver program) {
	secrets := readExamples(r, folder)
	found := false
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "kustomization.yaml" {
			return err
		}
		found = true
		checkKustomization(ctx, r, filepath.Dir(path), secrets, receiver)
		return nil
	})
	if err != nil || !found {
		r.add(folder, "has no kustomization (%v)", err)
	}
}

func checkKustomization(ctx context.Context, r *report, folder string, secrets []*corev1.Secret, receiver program) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		r.add(folder, "%v", err)
		return
	}
	c := &cluster{report: r, folder: folder, program: receiver, examples: secrets}
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			r.add(folder, "%v", err)
			continue
		}
		object := decode(r, folder, text)
		if object == nil {
			continue
		}
		validate(r, folder, object)
		c.put(object)
	}
	for _, d := range c.deployments {
		c.workload(ctx, d)
	}
	c.services()
	c.ingresses()
	c.selectors()
	c.autoscalers()
}

// workload holds a deployment to the rules.
func (c *cluster) workload(ctx context.Context, d *appsv1.Deployment) {
	name := c.name(d)
	settings := c.settings(d)
	c.podRules(name, d)
	c.rollout(name, d)
	c.mounts(name, d, settings)
	c.program.accepts(ctx, c.report, name, settings)
	c.program.checkStores(c.report, name, settings)
	c.stop(name, d, settings)
}
