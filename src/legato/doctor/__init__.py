"""The doctor: whether the space of an autoencoder's codes can be sampled, by which prior, and what to change in training.

A model is a patient (patient.py); examinations (examinations.py) take its figures, each beside a control; advice (advice.py)
turns a figure into a sentence, and the diagnosis (diagnosis.py) all of them into three answers. Not covered: the formulas
(measures/), the page (report/doctor.py).
"""
