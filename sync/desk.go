package sync

// desk bounds how many passes work at once. Whoever waits for Git leaves it to others meanwhile: repositories that take as
// long as they may keep nobody from working. Nil is a desk without bounds.
type desk chan struct{}

// passesAtOnce is how many passes compare and write at once, and passesWaiting how many there are with those that wait for
// Git.
const (
	passesAtOnce  = 4
	passesWaiting = 64
)

func (d desk) enter() {
	if d != nil {
		d <- struct{}{}
	}
}

func (d desk) leave() {
	if d != nil {
		<-d
	}
}

// away runs what waits for others than the API server.
func (d desk) away(wait func() error) error {
	d.leave()
	defer d.enter()
	return wait()
}
