package config

import (
	"slices"

	"github.com/deepimage-receiver/receiver/internal/handler"
)

// Verify is the mode of verification.
type Verify string

// The modes.
const (
	VerifyAuto     Verify = "auto" // if there is a key
	VerifyOff      Verify = "off"
	VerifyRequired Verify = "required"
)

// Verifies reports whether every job is verified with Deep Image.
func (c Config) Verifies() bool { return c.Verify != VerifyOff && c.DeepImage.Enabled() }

// validateVerification checks that verification and deletion have what they need.
func (c *Config) validateVerification(errs *ValidationErrors) {
	const key = prefix + "DEEPIMAGE_API_KEY"
	if c.Verify == VerifyRequired && !c.DeepImage.Enabled() {
		errs.add(prefix+"VERIFY", "is required, which needs %s", key)
	}
	const name = prefix + "DELETE_AFTER_DONE"
	switch {
	case !c.DeleteAfterDone:
	case !c.DeepImage.Enabled():
		errs.add(name, "is true, which needs %s", key)
	case c.Verify == VerifyOff: // a forged callback would be stored and the real images deleted
		errs.add(name, "is true, which needs verified callbacks; %s is off", prefix+"VERIFY")
	case !c.keepsImages():
		errs.add(name, "is true, which needs a handler that stores the images: download, or forward with %s=image or raw", prefix+"FORWARD_MODE")
	}
}

// keepsImages reports whether a handler stores the images.
func (c *Config) keepsImages() bool {
	return slices.ContainsFunc(c.Handlers, func(h Handler) bool {
		keeper, ok := h.Config.(handler.ImageKeeper)
		return ok && keeper.KeepsImages()
	})
}
