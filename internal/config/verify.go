package config

import (
	"slices"

	"github.com/deepimage-receiver/receiver/internal/handler"
)

// Verify says whether callbacks are verified.
type Verify string

// Every way.
const (
	VerifyAuto     Verify = "auto" // when there is a key
	VerifyOff      Verify = "off"
	VerifyRequired Verify = "required"
)

// Verifies says whether Deep Image is asked about every job.
func (c Config) Verifies() bool { return c.Verify != VerifyOff && c.DeepImage.Enabled() }

// validateTrust finds what is asked for without what it needs.
func (c *Config) validateTrust(faults *Faults) {
	const key = prefix + "DEEPIMAGE_API_KEY"
	if c.Verify == VerifyRequired && !c.DeepImage.Enabled() {
		faults.add(prefix+"VERIFY", "is required, which needs %s", key)
	}
	const name = prefix + "DELETE_AFTER_DONE"
	switch {
	case !c.DeleteAfterDone:
	case !c.DeepImage.Enabled():
		faults.add(name, "is true, which needs %s", key)
	case c.Verify == VerifyOff: // a forged callback would be stored and the real images deleted
		faults.add(name, "is true, which needs callbacks that are verified; %s is off", prefix+"VERIFY")
	case !c.keepsImages():
		faults.add(name, "is true, which needs a handler that keeps the images: download, or forward with %s=image or raw", prefix+"FORWARD_MODE")
	}
}

// keepsImages says whether a handler brings the images to safety.
func (c *Config) keepsImages() bool {
	return slices.ContainsFunc(c.Handlers, func(h Handler) bool {
		keeper, ok := h.Config.(handler.ImageKeeper)
		return ok && keeper.KeepsImages()
	})
}
