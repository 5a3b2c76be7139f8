"""`make demo`: the main job from end to end on real data, as any client would do it. Read `main_job` first."""
