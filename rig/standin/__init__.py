"""A stand-in for the RBG controller, for machines that cannot have the genuine one.

It was written from recordings of the genuine controller (v0.8.0-alpha.5, v0.7.0, v0.3.0) and
is checked against them in ``tests/functional/standin``; nothing of RBG's code is in it. How
adapters, sets and histories behave was also looked up in its sources, and seen at 0.8. A test
that passes here shows that the charm does the right thing *if* RBG behaves as recorded.

Imitated, on any Kubernetes API (kwok or a kubelet runs the pods):

* the children of every role, their names, owners, labels, environment and templates:
  RoleInstanceSet, RoleInstance, pods of the three patterns, StatefulSet, Deployment,
  LeaderWorkerSet, headless Service, discovery ConfigMap, ControllerRevisions;
* the group's status, condition, events and history; dependencies (a role not ready holds its
  dependants back, a cycle or an unknown name freezes the group); clean-up of removed roles;
* rollouts of RoleInstanceSets (highest ordinal first, maxUnavailable, partition, paused, image
  in place, else other pods in the same instance), their status and the instances' conditions;
  what other workloads take of a rollout strategy (no pause, a partition rounded up);
* scaling adapters: made, bound, obeyed by a plain Update, taken away; since 0.8 their count wins
  over the group's;
* group sets: children deleted, updated all at once, created; what others wrote put back;
* the traps A1, A2, A4, 4, 7 and 8 of the recordings, each of which can be switched off, and two
  more: `recreate` (0.7 only: `type: RecreatePod` is ignored) and `set-discovery` (a set takes
  the note `discovery-config-mode` from its groups, whose discovery file is then frozen). A2,
  which the genuine controller shows in most runs, and 4 (a quarter of all adapters that are made
  together), are shown in every run;
* the labels, environment and status of 0.6 and 0.3 (v1alpha1 only), with less detail.

Not imitated:

* restart policies: a crashed pod is left to the kubelet, RestartInProgress never appears;
* readiness gates: pods have none (the genuine InPlaceUpdateReady and InstancePodReady), so the
  healthy siblings of a crashed pod stay Ready, and an image swapped in place counts as not
  ready for as long as the kubelet (or a kwok stage) needs to report another image ID, 2 s at
  most; the pod itself may stay Ready during that time;
* gang scheduling, exclusive topology, coordination policies, engine runtimes, warm-up, port
  allocation, maxSurge, minReadySeconds, conversion, admission (so nothing refuses a partition
  as large as the role, or another count than the adapter's);
* the steps in which RBG itself lowers a StatefulSet's partition: the StatefulSet gets the final
  one at once;
* a binding of an adapter that comes late and undoes a scaling just made; scaling inside a set
  whose groups lost `discovery-config-mode`, where the genuine outcome depends on who is first:
  here the set wins;
* adapters and sets at 0.3;
* the repair of a Service or ConfigMap that somebody deleted, before the group's spec changes;
* retries with back-off: a group that waits is looked at when something changes, so the counts
  of its events are lower; the hashes in revision names are not RBG's.
"""

from rig.standin.controller import ALL_TRAPS, StandIn

__all__ = ["ALL_TRAPS", "StandIn"]
