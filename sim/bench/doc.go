// Package bench says how fast documents could be read at best: for each of a
// number of profiles the document, the chip's timing, and a list of the
// commands that a verdict needs, written down by hand from the sizes of the
// files and the frames of the protocols. It shares no code with the reader and
// never sees one run: what the reader sends more, or waits for, is the
// reader's.
package bench
