package chip

import "io"

// agreement is a key pair, and perhaps the secret shared with a known public
// value, computed while the chip is busy with something else.
type agreement struct {
	done   chan struct{}
	own    keyPair
	secret []byte
	err    error // of the random source, or from the agreement
	random bool  // it was the random source
}

// agreeAhead begins to compute. Until settle has returned, the random source
// is its own.
func agreeAhead(d domain, random io.Reader, with []byte) *agreement {
	a := &agreement{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		if a.own, a.err = d.generate(random); a.err != nil {
			a.random = true
			return
		}
		if with != nil {
			a.secret, a.err = a.own.secret(with)
		}
	}()
	return a
}

// settle waits for the result.
func (a *agreement) settle() error {
	<-a.done
	return a.err
}

// wipe waits and overwrites what is secret.
func (a *agreement) wipe() {
	<-a.done
	a.own.wipe()
	clear(a.secret)
}
