/* The file by which `flotilla run` marks a directory as one in which recorded tasks may read and write: a message can
 * name a directory, but not make this file in one that lacks it. */
#ifndef FLOTILLA_JOB_REPLAY_MARK_H
#define FLOTILLA_JOB_REPLAY_MARK_H

#define REPLAY_MARK ".flotilla-replay"

#endif
