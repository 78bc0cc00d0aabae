"""The joint between the clinic and the world; without it nothing would act on what the clinic decides."""
