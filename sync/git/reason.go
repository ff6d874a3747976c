package git

// Reason says why a repository cannot be read. The set is closed and each value is fit for a metric label or a
// condition. It is an error itself, so that errors.Is(err, git.RefNotFound) holds of every error that
// carries it.
type Reason string

const (
	// InvalidSource is a URL, ref or credential that this package does not accept. Nothing was dialled.
	InvalidSource Reason = "InvalidSource"
	// Unreachable is a server that does not answer, or answers that it cannot now.
	Unreachable Reason = "GitUnreachable"
	// CertificateInvalid is a server whose TLS certificate is not trusted.
	CertificateInvalid Reason = "CertificateInvalid"
	// HostKeyInvalid is an ssh server whose key known_hosts does not have.
	HostKeyInvalid Reason = "HostKeyInvalid"
	// InvalidAnswer is a server that answers, but not as a Git server does.
	InvalidAnswer Reason = "InvalidAnswer"
	// AuthenticationFailed is a server that does not accept the credentials, or wants some.
	AuthenticationFailed Reason = "AuthenticationFailed"
	// RepositoryNotFound is a server that does not have the repository, or hides it.
	RepositoryNotFound Reason = "RepositoryNotFound"
	// EmptyRepository is a repository without any ref.
	EmptyRepository Reason = "EmptyRepository"
	// RefNotFound is a repository with refs, but not this one.
	RefNotFound Reason = "RefNotFound"
	// LimitExceeded is a repository that would cost more than Limits allow.
	LimitExceeded Reason = "LimitExceeded"
	// CorruptRepository is a clone or an answer with objects that are missing or not what they should be.
	CorruptRepository Reason = "CorruptRepository"
	// CacheFailed is a directory of this machine that cannot be written or read.
	CacheFailed Reason = "CacheFailed"
	// PathNotFound is a path that the commit does not have.
	PathNotFound Reason = "PathNotFound"
	// SymlinkUnsupported is a symbolic link among what was read.
	SymlinkUnsupported Reason = "SymlinkUnsupported"
	// SubmoduleUnsupported is a submodule among what was read.
	SubmoduleUnsupported Reason = "SubmoduleUnsupported"
	// UnverifiedCommit is a commit, or its tag, without a signature that counts.
	UnverifiedCommit Reason = "UnverifiedCommit"
	// LFSUnsupported is a file among what was read whose content Git LFS keeps elsewhere.
	LFSUnsupported Reason = "LFSUnsupported"
)

// Error makes a Reason a target for errors.Is.
func (r Reason) Error() string {
	return string(r)
}
