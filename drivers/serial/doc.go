// Package serial keeps one serial port open and splits what it says into
// frames.
//
// A Port is a long-lived task. It opens the device by a name that survives
// replugging, opens it again after it vanished, and cuts the stream into
// frames by a framing profile. It never interprets a frame and never logs
// one: frames of a scanner are travellers' data. Every length and every wait
// is bounded.
package serial
