package render

// Reason says why a build failed. The set is closed and each value is fit for a metric label or a condition.
// It is an error itself, so that errors.Is(err, render.InvalidYAML) holds of every error that carries it.
type Reason string

const (
	// InvalidYAML is a file that does not parse, or that says one thing twice.
	InvalidYAML Reason = "InvalidYAML"
	// DuplicateObject is one object declared in two places.
	DuplicateObject Reason = "DuplicateObject"
	// InvalidObject is an object that the API server would refuse, or that must not be declared.
	InvalidObject Reason = "InvalidObject"
	// BuildFailed is a kustomization that cannot be built, or a file that cannot be read.
	BuildFailed Reason = "BuildFailed"
	// RemoteResource is a kustomization that would fetch or execute something.
	RemoteResource Reason = "RemoteResource"
	// LimitExceeded is a build that would cost more than Limits allow.
	LimitExceeded Reason = "LimitExceeded"
	// DecryptionFailed is a file that sops has encrypted and that cannot be read.
	DecryptionFailed Reason = "DecryptionFailed"
	// SubstitutionFailed is an object with a variable that has no value, or with an expression that is none.
	SubstitutionFailed Reason = "SubstitutionFailed"
	// PathNotFound is a path that the tree does not have.
	PathNotFound Reason = "PathNotFound"
)

// Error makes a Reason a target for errors.Is.
func (r Reason) Error() string {
	return string(r)
}
