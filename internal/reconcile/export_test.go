package reconcile

// These export the pure decision.
type (
	Answer   = answer
	Decision = decision
)

// Decide exports decide.
var Decide = decide
