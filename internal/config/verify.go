package config

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

// validateTrust finds what is asked for and needs the key.
func (c *Config) validateTrust(faults *Faults) {
	const key = prefix + "DEEPIMAGE_API_KEY"
	if c.DeepImage.Enabled() {
		return
	}
	if c.Verify == VerifyRequired {
		faults.add(prefix+"VERIFY", "is required, which needs %s", key)
	}
	if c.DeleteAfterDone {
		faults.add(prefix+"DELETE_AFTER_DONE", "is true, which needs %s", key)
	}
}
