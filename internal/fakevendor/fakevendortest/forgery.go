package fakevendortest

import "fmt"

// forgedOptions are what a forger offers: a good picture, so that only distrust keeps it out.
func forgedOptions() JobOptions {
	return JobOptions{State: Forged, Width: 64, Height: 48, Seed: 1}
}

// Forge makes a job that the API does not know. Its images are on the host; Requests tells
// whether somebody fell for it.
func (v *Vendor) Forge() (Job, error) { return v.NewJob(forgedOptions()) }

// Impersonate makes the job that a forger claims who knows the id of a real one: the callback
// has another address in it. The API goes on to tell the truth about the id.
func (v *Vendor) Impersonate(victim Job) (Job, error) {
	options := forgedOptions()
	options.ID = victim.ID
	options.FileName = fmt.Sprintf("forged-%d.png", v.forged.Add(1))
	created, err := v.create(options)
	if err != nil {
		return Job{}, err
	}
	return created.Job, nil
}
