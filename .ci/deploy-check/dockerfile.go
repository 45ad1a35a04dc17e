package deploycheck

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// checkDockerfile runs the checks of docker build --check, without an engine and
// without a registry.
func checkDockerfile(ctx context.Context, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	source := llb.NewSourceMap(nil, name, "Dockerfile", text)
	source.Definition = &llb.Definition{} // there is no build to point into
	platform := ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH}
	results, err := dockerfile2llb.DockerfileLint(ctx, text, dockerfile2llb.ConvertOpt{
		Config:         dockerui.Config{BuildPlatforms: []ocispecs.Platform{platform}},
		SourceMap:      source,
		TargetPlatform: &platform,
		MetaResolver:   anyImage{platform},
	})
	if err != nil {
		return err
	}
	if err := results.PrintTo(os.Stderr, nil); err != nil {
		return err
	}
	if results.Error != nil {
		return fmt.Errorf("%s: %s", name, results.Error.Message)
	}
	if count := len(results.Warnings); count > 0 {
		return fmt.Errorf("%s: %d warnings", name, count)
	}
	return nil
}

// anyImage stands for every base image, so that no registry is asked.
type anyImage struct{ platform ocispecs.Platform }

func (a anyImage) ResolveImageConfig(_ context.Context, reference string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispecs.Image{Platform: a.platform})
	return reference, digest.FromBytes(config), config, err
}
