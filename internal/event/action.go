package event

// Action is what follows a failed attempt of a step.
type Action string

// The actions. What each costs a step:
//
//	action      next state   attempt    age     ends by
//	retry       retrying     counted    grows   the delay; after too many attempts or too much time the step is dead
//	defer       retrying     free       stops   the delay, or the success of another attempt at the same target
//	hold        retrying     free       grows   the delay; after too much time the step is dead
//	quarantine  quarantined  counted    -       verification or release
//	fail        dead         counted    -       replay
//	disable     retrying     free       stops   a person or an hourly probe enables the target; all its steps wait
const (
	ActionRetry      Action = "retry"      // the failure may pass
	ActionDefer      Action = "defer"      // an outage of the target, the vendor, the bucket or the broker, or a rate limit of ours
	ActionHold       Action = "hold"       // the remote system answered that the result is not ready
	ActionQuarantine Action = "quarantine" // the event may be forged
	ActionFail       Action = "fail"       // no further attempt can succeed
	ActionDisable    Action = "disable"    // the target wants no further requests
)

// Cause refines an Action where its usual meaning is not enough. The zero value is the usual meaning.
type Cause string

// The causes, each with the one action that it belongs to.
const (
	CauseNone Cause = ""
	// CauseOutage refines ActionDefer: this attempt reached out and found the outage, so the target counts as down.
	// Without it nothing was tried, because the outage was known before.
	CauseOutage Cause = "outage"
	// CauseStep refines ActionDefer: the delay concerns this step alone. The success of other attempts does not end it early.
	CauseStep Cause = "step"
	// CauseDeleted refines ActionFail: the vendor has deleted the result. If another event of the job was verified
	// before, the step is skipped instead of dead.
	CauseDeleted Cause = "deleted"
)
