package update

import (
	"errors"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Attack names what somebody may have tried when something is refused (the
// names are those of the TUF specification 1.0, section 1.5.2, where it has
// one).
type Attack string

// Attacks.
const (
	Rollback     Attack = "rollback"      // something older than the kiosk has had
	Freeze       Attack = "freeze"        // what has expired is offered as current
	MixAndMatch  Attack = "mix-and-match" // files that do not belong together
	Forgery      Attack = "forgery"       // not signed by as many of the keys as it takes
	Overreach    Attack = "overreach"     // a key signed what is not its to sign
	Swapped      Attack = "swapped file"  // a target is not the one that was signed
	EndlessData  Attack = "endless data"  // more bytes than was signed
	SlowData     Attack = "slow data"     // a trickle that would never end
	TimeRegress  Attack = "time regress"  // the clock lies before what was proven already
	Equivocation Attack = "equivocation"  // two different files under one version
	Unrevoking   Attack = "unrevoking"    // newer revocations lack some that are in force
	Malformed    Attack = "malformed"     // signed or not, it cannot be understood
)

// Refusal is why something was not taken. Everything that is no Refusal is a
// failure without a suspicion: no network, no space, no file.
type Refusal struct {
	Attack Attack
	What   string // file or role
	Err    error
}

// Error names attack, thing and reason.
func (r *Refusal) Error() string { return fmt.Sprintf("%s refused (%s): %v", r.What, r.Attack, r.Err) }

// Unwrap gives the reason.
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(a Attack, what, format string, args ...any) error {
	return &Refusal{Attack: a, What: what, Err: fmt.Errorf(format, args...)}
}

// attackOf names the attack in an error; empty when there is no suspicion.
func attackOf(err error) Attack {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Attack
	}
	return ""
}

// ErrClock says that nothing can be taken because the time is not trusted.
var ErrClock = errors.New("the clock is not trusted, so nothing can be judged by its expiry; restore time synchronisation")

// guard runs a call of the library. Its types hold pointers that a hostile
// file may leave empty, and a file must not end the agent.
func guard(what string, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = refuse(Malformed, what, "it breaks off in the middle of its structure")
		}
	}()
	return call()
}

// classify names the attack behind an error of the library. version is what
// a wrong version number means for this file.
func classify(what string, version Attack, err error) error {
	var known *Refusal
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case is[metadata.ErrUnsignedMetadata](err):
		return &Refusal{Forgery, what, err}
	case is[metadata.ErrExpiredMetadata](err):
		return &Refusal{Freeze, what, err}
	case is[metadata.ErrBadVersionNumber](err):
		return &Refusal{version, what, err}
	case is[metadata.ErrLengthOrHashMismatch](err):
		return &Refusal{MixAndMatch, what, err}
	}
	return &Refusal{Malformed, what, err}
}

// is looks for the exact type: the library's errors also say that they are
// their own parents.
func is[T any, P interface {
	*T
	error
}](err error) bool {
	var p P
	return errors.As(err, &p)
}
