package fakevendortest

import "fmt"

// forgedOptions describe a valid picture, so that only verification rejects it.
func forgedOptions() JobOptions {
	return JobOptions{State: Forged, Width: 64, Height: 48, Seed: 1}
}

// Forge creates a job that the API does not know. Its images are hosted, so that Requests counts who fetched them.
func (v *Vendor) Forge() (Job, error) { return v.NewJob(forgedOptions()) }

// Impersonate creates the job of a forger who knows the id of a real one: its callback has another address. The API
// continues to return the real address.
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
