package rollout

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// State is what is recorded in the cluster between two decisions. Everything
// else is observed anew each time.
type State struct {
	// Proven is nil until the first version has passed.
	Proven *Version
	// Candidate is nil when Git asks for the proven version.
	Candidate *Version
	// Rejected are the versions that failed, newest first.
	Rejected     []Rejection
	HandledRetry string
	// Waves are those of the policy when the rollout of the candidate started its
	// first one; nil before, and not nil but empty when an earlier first version has
	// begun in waves. An edit of the policy makes no wave in progress larger.
	Waves []Wave
	// Wave is the index of the wave in progress.
	Wave int
	// WaveStarted is zero until the wave's nodes are picked.
	WaveStarted time.Time
	// Records are the nodes of the waves so far, sorted by node name. About is the
	// digest of the candidate that they are about: after a crash between two
	// writes that is another one than Candidate.
	Records []Record
	About   string
	// Owed are nodes on which an earlier candidate ran and still does, or whose agent
	// went twice in one replacement, sorted by node name: without an available agent
	// they are so because of rollcall.
	Owed []Owed
	// Bare are the nodes without an available agent when the surge that is open was
	// opened, or about to lose theirs, sorted by node name: that they have none does not
	// end it.
	Bare []Owed
	// InFlight are the nodes whose agent was, or is about to be, taken away,
	// sorted by node name.
	InFlight []InFlight
}

// Version is one digest.
type Version struct {
	Digest string
	Commit string
}

// Rejection is a version that failed.
type Rejection struct {
	Version
	Reason  string
	Message string
	At      time.Time
}

// Record is one node's part in the rollout of the candidate.
type Record struct {
	Node string    `json:"n"`
	UID  types.UID `json:"u"`
	// Wave is the index of the wave that the node belongs to.
	Wave int `json:"w,omitempty"`
	// Turn is the place of its group, as it was when the wave began, in a wave that
	// goes group by group; 0 in any other.
	Turn uint32 `json:"g,omitempty"`
	// Touched is when its replacement was last recorded, and then when its new
	// pod was let start; zero before.
	Touched time.Time `json:"t,omitzero"`
	// Found nodes ran the candidate already when they were picked: nothing was begun on
	// them.
	Found bool `json:"z,omitempty"`
	// Ran is whether a pod of the candidate was allowed to start on it.
	Ran bool `json:"r,omitempty"`
	// Away nodes have told nothing of the new pod since it was let start, or did not
	// let it be scheduled: its time begins anew when they do.
	Away bool `json:"x,omitempty"`
	// First nodes had no agent at all when the first version was let start on them,
	// and have had no healthy one since: rollcall took nothing from them.
	First bool `json:"i,omitempty"`
	// Down nodes were NotReady then, and still are: that is no evidence, for the
	// agent may be what makes them Ready.
	Down bool `json:"d,omitempty"`
	// SickBefore nodes had no Ready agent when they were first touched, and have
	// not been healthy since: their failures are no evidence, their recovery is.
	SickBefore bool `json:"s,omitempty"`
	// Leaving nodes were announced to go after they were touched: their end is
	// no evidence.
	Leaving bool `json:"l,omitempty"`
	// Failed is the reason of the evidence against the candidate; it stays,
	// whatever the node shows later.
	Failed        string `json:"f,omitempty"`
	FailedMessage string `json:"m,omitempty"`
	// Excused nodes stay sick as they were before: no evidence, no block.
	Excused bool `json:"e,omitempty"`
	// Tries counts the replacements since the node was last healthy on the
	// candidate.
	Tries int `json:"c,omitempty"`
	// Well is whether the node was healthy on the candidate when it was last
	// judged, and Breaks counts how often it was so and then no longer.
	Well   bool `json:"h,omitempty"`
	Breaks int  `json:"b,omitempty"`
	// Late nodes could be given the candidate only after the last wave had started,
	// most of them because they joined then: they do not put off the proof.
	Late bool `json:"a,omitempty"`
	// KeptOut nodes failed the version that is proven now, within the failure
	// budget or in a surge beside an agent that serves: they are not tried again by
	// themselves.
	KeptOut bool `json:"k,omitempty"`
	// Left nodes lost their agent for good, and a gated pod stands in its place.
	Left bool `json:"q,omitempty"`
	// Self nodes are in no wave: the candidate came to them by itself, and failed.
	Self bool `json:"o,omitempty"`
}

// tail is whether the node is a late one that nothing was begun on.
func (r *Record) tail() bool { return r.Late && r.Touched.IsZero() }

// Owed is one node that is still to be given what the waves are about.
type Owed struct {
	Node string    `json:"n"`
	UID  types.UID `json:"u"`
	// Served is whether the node of a surge had an available agent, which a taint would
	// have it lose.
	Served bool `json:"s,omitempty"`
	// Lost is whether the candidate ran on the node when what was recorded of it was lost.
	Lost bool `json:"l,omitempty"`
	// Left is whether a gated pod stands in the place of the agent that was taken.
	Left bool `json:"q,omitempty"`
}

// InFlight is one node whose agent is being replaced.
type InFlight struct {
	Node    string
	NodeUID types.UID
	// PodUID is the pod that is to go.
	PodUID types.UID
	At     time.Time
	// Idle is whether that pod served nobody: nothing was lost with it.
	Idle bool
	// Straggler is whether the node is given a proven version that it never had: it
	// is in flight until that has been available for as long as a candidate has to be.
	Straggler bool
}

func (s State) clone() State {
	s.Rejected = slices.Clone(s.Rejected)
	s.Waves = slices.Clone(s.Waves)
	s.Records = slices.Clone(s.Records)
	s.Owed = slices.Clone(s.Owed)
	s.Bare = slices.Clone(s.Bare)
	s.InFlight = slices.Clone(s.InFlight)
	return s
}

// rejection returns the rejection of the digest, or nil.
func (s *State) rejection(digest string) *Rejection {
	for i := range s.Rejected {
		if s.Rejected[i].Digest == digest {
			return &s.Rejected[i]
		}
	}
	return nil
}

// maxRejected is how many rejections are remembered; the API shows as many.
const maxRejected = 10

func (s *State) reject(r Rejection) {
	s.Rejected = slices.DeleteFunc(s.Rejected, func(o Rejection) bool { return o.Digest == r.Digest })
	s.Rejected = slices.Insert(s.Rejected, 0, r)
	s.Rejected = s.Rejected[:min(len(s.Rejected), maxRejected)]
}
